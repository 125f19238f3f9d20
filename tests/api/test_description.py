"""The description is complete and consistent, and whatever is sent, no request is a fault of the server's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.client import ROUTER, Api, Repo
from tidegate import errors
from tidegate.api.openapi import describe
from tidegate.api.routes import Route
from tidegate.api.table import ROUTES

Document = dict[str, Any]


@pytest.fixture(scope="module")
def description(api: Api) -> Document:
    """What the server tells of itself."""
    found: Document = api.get("/openapi.json")
    return found


def nodes(value: object) -> Iterator[Document]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from nodes(each)
    elif isinstance(value, list):
        for each in value:
            yield from nodes(each)


def test_every_route_is_described(description: Document) -> None:
    """Each method and path once, under a name of its own, and nothing else."""
    told = {(method.upper(), path) for path, item in description["paths"].items() for method in item}
    assert told == {(route.method, route.path.replace("...", "")) for route in ROUTES}
    names = [operation["operationId"] for item in description["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names)) == len(ROUTES)
    assert description["openapi"].startswith("3.1.")


def test_every_operation_is_whole(description: Document) -> None:
    """A summary, the names in its path, an answer, and errors."""
    for path, item in description["paths"].items():
        for method, operation in item.items():
            assert operation["summary"], path
            named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))
            keys = [(each["in"], each["name"]) for each in operation["parameters"]]
            assert len(keys) == len(set(keys))
            assert "default" in operation["responses"]
            (status,) = set(operation["responses"]) - {"default"}
            assert ("content" in operation["responses"][status]) == (status != "204"), (method, path)


def test_every_reference_leads_somewhere(description: Document) -> None:
    """Schemas are all there, and all of them are used."""
    references = {each["$ref"] for each in nodes(description) if "$ref" in each}
    there = {f"#/components/schemas/{name}" for name in description["components"]["schemas"]}
    there |= {f"#/components/responses/{name}" for name in description["components"]["responses"]}
    assert references == there


def test_times_and_limits_are_described(description: Document) -> None:
    """What a generated client needs to know of a field."""
    schemas = description["components"]["schemas"]
    assert schemas["Repo"]["properties"]["created"]["format"] == "date-time"
    assert schemas["Merge"]["properties"]["prefer"]["anyOf"][0]["enum"] == ["ours", "theirs"]
    assert schemas["NewProject"]["additionalProperties"] is False
    listing = description["paths"]["/v2/projects/{project}/repos/{repo}/files"]["get"]["parameters"]
    limit = next(each for each in listing if each["name"] == "limit")
    assert (limit["schema"]["minimum"], limit["schema"]["maximum"], limit["required"]) == (1, 10_000, False)
    assert next(each for each in listing if each["name"] == "ref")["required"] is True


def test_it_is_the_same_for_all(description: Document) -> None:
    """It depends on nothing but the code."""
    assert msgspec.json.decode(msgspec.json.encode(describe(ROUTES))) == description


@given(st.sampled_from(ROUTES), st.lists(st.text("ab/%^~.=@é", min_size=1, max_size=8), min_size=5, max_size=5))
def test_a_path_finds_its_route(route: Route, values: list[str]) -> None:
    """Whatever stands for the names in it."""
    path, expected = route.path, {}
    for name, value in zip(route.parameters, values, strict=False):
        is_tail = f"{{{name}...}}" in path
        expected[name] = value
        path = path.replace(f"{{{name}...}}" if is_tail else f"{{{name}}}", quote(value, safe="/" if is_tail else ""))
    found, names = ROUTER.find(route.method, path.encode())
    assert (found, names) == (route, expected)


@given(st.binary(max_size=60))
def test_any_path_is_a_route_or_refused(path: bytes) -> None:
    """It never fails otherwise."""
    for method in ("GET", "PUT", "x"):
        try:
            ROUTER.find(method, b"/v2/" + path)
        except (errors.NoSuchPath, errors.MethodNotAllowed, errors.InvalidURI):
            continue


NASTY = st.sampled_from(
    ["", "x", "master", "default", "..", "a b", "é", "😀", "%", "+", "\n", "x" * 200, "master^999999999", "master~1~1",
     "master@at-99999999t999999z", "@", "=", ".", "0" * 32, "-1", "1", "9" * 30, "true", "null", "*", "**/*", "[", "s3://b"]
)  # fmt: skip
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | NASTY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NASTY, inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("route", ROUTES, ids=[route.name for route in ROUTES])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_request_is_the_servers_fault(api: Api, repo: Repo, route: Route, data: st.DataObject) -> None:
    """Nasty names, parameters and bodies are done or refused: see ``client.check``."""
    if route.name == "delete_project":
        return
    path = route.path.removeprefix("/v2")
    for name in route.parameters:
        known = {"project": "default", "repo": repo.name, "ref": "master", "branch": "master"}
        value = data.draw(st.just(known.get(name, "x")) | NASTY, label=name)
        path = path.replace(f"{{{name}}}", quote(value, safe="")).replace(f"{{{name}...}}", quote(value, safe=""))
    fields = [field.encode_name for field in msgspec.structs.fields(route.query)]
    query = data.draw(st.dictionaries(st.sampled_from(fields), NASTY) if fields else st.just({}), label="query")
    query.pop("seconds", None)
    more: Document = {"params": query}
    if route.body is not None:
        names = [field.encode_name for field in msgspec.structs.fields(route.body)]
        more["json"] = data.draw(st.dictionaries(st.sampled_from(names), JSON_VALUES), label="body")
    elif route.takes_content:
        more["data"] = b"content"
    api.request(route.method, path, **more)
