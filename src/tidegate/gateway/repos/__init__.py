"""Versioned repositories: projects, repositories, branches, commits, tags, and what has changed between commits.

What is in a branch is read and written as in any bucket, by a ``RefName``; here is what only repositories have.
"""

from tidegate.gateway.repos.branches import Branches
from tidegate.gateway.repos.changes import Changes
from tidegate.gateway.repos.commits import Commits
from tidegate.gateway.repos.directories import Directories
from tidegate.gateway.repos.hooks import Hooks
from tidegate.gateway.repos.imports import Imports
from tidegate.gateway.repos.repositories import Projects, Repositories
from tidegate.gateway.repos.tags import Tags

__all__ = ["Branches", "Changes", "Commits", "Directories", "Hooks", "Imports", "Projects", "Repositories", "Tags"]
