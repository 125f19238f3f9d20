"""What can go wrong, said once.

Every error that a client can be told about is a class here: it knows its S3 code (its name unless it says otherwise),
its HTTP status and a default message. Rooms raise these where the fault is known; each door turns them into its own
wire format in one place. Nothing here does I/O.

Source of codes and messages: Amazon S3 API reference, "Error responses".
"""

from __future__ import annotations

from typing import ClassVar

_SERVER_FAULT = 500  # RFC 9110 section 15.6


class Error(Exception):
    """A fault with an S3 code. ``fields`` are extra elements of the error document, such as ``BucketName``."""

    code: ClassVar[str] = "InternalError"
    status: ClassVar[int] = 500
    message: str = "We encountered an internal error. Please try again."

    def __init_subclass__(cls) -> None:
        if "code" not in cls.__dict__:
            cls.code = cls.__name__

    def __init__(self, message: str | None = None, /, **fields: str) -> None:
        if message is not None:
            self.message = message
        self.fields = fields
        super().__init__(self.message)

    @property
    def is_ours(self) -> bool:
        """Whether it is the server's fault, not the client's."""
        return self.status >= _SERVER_FAULT


# --- the request itself is malformed ---------------------------------------------------------------------------------


class BadRequest(Error):
    """What came is no HTTP request that can be trusted to end where it seems to."""

    status = 400
    message = "An error occurred when parsing the HTTP request."


class InvalidRequest(Error):
    status = 400
    message = "The request is not valid."


class InvalidArgument(Error):
    status = 400
    message = "Invalid Argument"


class InvalidURI(Error):
    status = 400
    message = "Couldn't parse the specified URI."


class KeyTooLongError(Error):
    status = 400
    message = "Your key is too long"


class MetadataTooLarge(Error):
    status = 400
    message = "Your metadata headers exceed the maximum allowed metadata size"


class RequestHeaderSectionTooLarge(Error):
    status = 400
    message = "Your request header section exceeds the maximum allowed header section size"


class MalformedXML(Error):
    status = 400
    message = "The XML you provided was not well-formed or did not validate against our published schema"


class MissingRequestBody(Error):
    code = "MissingRequestBodyError"
    status = 400
    message = "Request body is empty."


class NoSuchPath(Error):
    status = 404
    message = "There is nothing of that path in this API."


class MethodNotAllowed(Error):
    status = 405
    message = "The specified method is not allowed against this resource."


class UnsupportedMediaType(Error):
    status = 415
    message = "The body is not of a type that is taken here."


class NotImplementedByServer(Error):
    code = "NotImplemented"
    status = 501
    message = "A header or query you provided requested a function that is not implemented."


# --- the body does not keep its promises -----------------------------------------------------------------------------


class MissingContentLength(Error):
    status = 411
    message = "You must provide the Content-Length HTTP header."


class EntityTooLarge(Error):
    status = 400
    message = "Your proposed upload exceeds the maximum allowed size"


class EntityTooSmall(Error):
    status = 400
    message = "Your proposed upload is smaller than the minimum allowed size"


class IncompleteBody(Error):
    status = 400
    message = "You did not provide the number of bytes specified by the Content-Length HTTP header"


class InvalidChunkSize(Error):
    code = "InvalidChunkSizeError"
    status = 400
    message = "The chunked body is malformed."


class MalformedTrailer(Error):
    code = "MalformedTrailerError"
    status = 400
    message = "The request contained trailing data that was not well-formed or did not conform to our published schema."


class BadDigest(Error):
    status = 400
    message = "The Content-MD5 or checksum value that you specified did not match what the server received."


class InvalidDigest(Error):
    status = 400
    message = "The Content-MD5 or checksum value that you specified is not valid."


class XAmzContentSHA256Mismatch(Error):
    status = 400
    message = "The provided 'x-amz-content-sha256' header does not match what was computed."


class RequestTimeout(Error):
    status = 400
    message = "Your socket connection to the server was not read from or written to within the timeout period."


class ClientDisconnected(Error):
    """The client went away before its body was complete. Nobody is left to read the answer."""

    code = "RequestTimeout"
    status = 400
    message = "The connection was closed before the request body was complete."


# --- who is asking ---------------------------------------------------------------------------------------------------


class AccessDenied(Error):
    """``bucket`` is the URI of the bucket that it is about, where it is about one. S3's clients do not see it."""

    status = 403
    message = "Access Denied"
    bucket: str = ""


class BucketAccessDenied(Error):
    """The bucket's own property ``access`` forbids it, whoever asks."""

    code = "AccessDenied"
    status = 403
    message = "Access Denied"


class AccessForbidden(Error):
    status = 403
    message = "CORSResponse: CORS is not enabled for this bucket."


class InvalidAccessKeyId(Error):
    status = 403
    message = "The AWS Access Key Id you provided does not exist in our records."


class UnknownToken(Error):
    """A token is given as access key that is none, or no longer. It is nobody else's key either."""

    code = "InvalidAccessKeyId"
    status = 403
    message = "The token that is given as access key is not valid: it may have expired, or been revoked."


class SignatureDoesNotMatch(Error):
    status = 403
    message = (
        "The request signature we calculated does not match the signature you provided. Check your key and signing "
        "method."
    )


class RequestTimeTooSkewed(Error):
    status = 403
    message = "The difference between the request time and the server's time is too large."


class AuthorizationHeaderMalformed(Error):
    status = 400
    message = "The authorization header that you provided is not valid."


class AuthorizationQueryParametersError(Error):
    status = 400
    message = "The authorization query parameters that you provided are not valid."


class InvalidToken(Error):
    status = 400
    message = "The provided token is malformed or otherwise invalid."


class RevokedToken(Error):
    """The token was good once; somebody has revoked it."""

    code = "InvalidToken"
    status = 400
    message = "The provided token has been revoked."


class ExpiredToken(Error):
    status = 400
    message = "The provided token has expired."


class Unauthorized(Error):
    """Where a token is asked for, as AIStore does: there is none, it is not good, or a password is wrong."""

    status = 401
    message = "token required"


class TooManyLogins(Error):
    """Passwords are being guessed, it seems."""

    code = "TooManyRequests"
    status = 429
    message = "too many failed logins: try again in a minute"


class AuthenticationIsOff(Error):
    """Without authentication there is nobody to tell apart."""

    code = "InvalidRequest"
    status = 400
    message = "authentication is off: a server that is started with --auth on has users, roles and tokens"


class MissingSecurityHeader(Error):
    status = 400
    message = "Your request was missing a required header."


# --- buckets ---------------------------------------------------------------------------------------------------------


class NoSuchBucket(Error):
    status = 404
    message = "The specified bucket does not exist"


class AmbiguousBucketName(Error):
    """Several buckets, of different providers or namespaces, have the name."""

    status = 404
    message = "The bucket name means more than one bucket."


class BucketAlreadyExists(Error):
    status = 409
    message = "The requested bucket name is not available. Please select a different name and try again."


class BucketAlreadyOwnedByYou(Error):
    status = 409
    message = "Your previous request to create the named bucket succeeded and you already own it."


class BucketNotEmpty(Error):
    status = 409
    message = "The bucket you tried to delete is not empty"


class InvalidBucketName(Error):
    status = 400
    message = "The specified bucket is not valid."


class InvalidLocationConstraint(Error):
    status = 400
    message = "The specified location-constraint is not valid"


class IllegalVersioningConfiguration(Error):
    code = "IllegalVersioningConfigurationException"
    status = 400
    message = "The versioning configuration specified in the request is invalid."


class NoSuchTagSet(Error):
    status = 404
    message = "The TagSet does not exist"


class InvalidTag(Error):
    status = 400
    message = "The tag provided was not a valid tag."


# --- objects ---------------------------------------------------------------------------------------------------------


class NoSuchKey(Error):
    status = 404
    message = "The specified key does not exist."


class NoSuchVersion(Error):
    status = 404
    message = "The specified version does not exist."


class DeleteMarker(Error):
    """The version that was asked for is a delete marker: 404 where it is the newest, 405 where it was named."""

    code = "NoSuchKey"
    status = 404
    message = "The specified key does not exist."


class NamedDeleteMarker(Error):
    code = "MethodNotAllowed"
    status = 405
    message = "The specified method is not allowed against this resource."


class InvalidRange(Error):
    status = 416
    message = "The requested range is not satisfiable"


class InvalidPartNumber(Error):
    status = 416
    message = "The requested partnumber is not satisfiable"


class NotModified(Error):
    status = 304
    message = "Not Modified"


class PreconditionFailed(Error):
    status = 412
    message = "At least one of the pre-conditions you specified did not hold"


class ConditionalRequestConflict(Error):
    status = 409
    message = "The conditional request cannot succeed due to a conflicting operation against this resource."


class InvalidStorageClass(Error):
    status = 400
    message = "The storage class you specified is not valid"


class InvalidWriteOffset(Error):
    status = 400
    message = "The write offset value that you specified does not match the current object size."


class TooManyParts(Error):
    status = 400
    message = "You have attempted to add more parts than the maximum of 10000 that are allowed for this object."


class InvalidArchive(Error):
    """An object that is read as an archive is none, or is damaged."""

    status = 400
    message = "The object is not an archive of the expected format, or it is damaged."


class NoSuchMember(Error):
    """An archive has no such file."""

    code = "NoSuchKey"
    status = 404
    message = "The archive has no such file."


# --- multipart uploads -----------------------------------------------------------------------------------------------


class NoSuchUpload(Error):
    status = 404
    message = (
        "The specified upload does not exist. The upload ID may be invalid, "
        "or the upload may have been aborted or completed."
    )


class InvalidPart(Error):
    status = 400
    message = (
        "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified "
        "entity tag may not match the part's entity tag."
    )


class InvalidPartOrder(Error):
    status = 400
    message = "The list of parts was not in ascending order. Parts must be ordered by part number."


# --- jobs ------------------------------------------------------------------------------------------------------------


class NoSuchJob(Error):
    status = 404
    message = "The job does not exist."


# --- the store -------------------------------------------------------------------------------------------------------


class InsufficientStorage(Error):
    status = 507
    message = "There is not enough space on the data folder's disk to store this."


class DamagedBlob(Error):
    """The stored bytes do not match their checksum, or are gone: they are never served."""

    code = "InternalError"
    status = 500
    message = "The stored data of this object is damaged and cannot be served."


class DamagedCatalog(Error):
    """The files of the catalog's engine are broken."""

    code = "InternalError"
    message = "The catalog is damaged."


class SlowDown(Error):
    status = 503
    message = "Please reduce your request rate."


class ServiceUnavailable(Error):
    status = 503
    message = "The service cannot write to its data folder right now."


class FolderMissing(Error):
    """The only copies of the bytes are in data folders that are not there right now."""

    code = "ServiceUnavailable"
    status = 503
    message = "The data folder that has this object is not there right now."


# --- other people's buckets ------------------------------------------------------------------------------------------


class RemoteUnavailable(Error):
    """The remote cannot be reached, broke off, or failed. Whether it has done what it was asked is not known."""

    code = "ServiceUnavailable"
    status = 503
    message = "The remote bucket cannot be reached right now."


class RemoteDenied(Error):
    """The remote takes our credentials for nobody's, or forbids what they ask. The message never has a credential."""

    code = "AccessDenied"
    status = 403
    message = "The remote bucket denied access."


class RemoteRefused(Error):
    """The remote says that the request makes no sense to it."""

    code = "InvalidRequest"
    status = 400
    message = "The remote bucket refused the request."


class RemoteChanged(Error):
    """The remote's object is no longer the one that was being read."""

    code = "ServiceUnavailable"
    status = 503
    message = "The remote object changed while it was read. Please try again."


class RemoteDamaged(Error):
    """What the remote sent is not what it said it would send: its length, or a checksum."""

    code = "InternalError"
    status = 502
    message = "The remote bucket sent damaged data."


class UnrepresentableKey(Error):
    """The remote has no object that could be called so; another key is never taken instead."""

    code = "InvalidArgument"
    status = 400
    message = "The remote bucket cannot have an object of this name."


# --- administration: users and keys ----------------------------------------------------------------------------------


class NoSuchUser(Error):
    code = "NoSuchEntity"
    status = 404
    message = "The user does not exist."


class UserAlreadyExists(Error):
    code = "EntityAlreadyExists"
    status = 409
    message = "A user of that name exists already."


class AccessKeyAlreadyExists(Error):
    code = "EntityAlreadyExists"
    status = 409
    message = "An access key of that id exists already."


class NoSuchAccessKey(Error):
    code = "NoSuchEntity"
    status = 404
    message = "The access key does not exist."


class NoSuchRole(Error):
    code = "NoSuchEntity"
    status = 404
    message = "The role does not exist."


class NoSuchNode(Error):
    code = "NoSuchEntity"
    status = 404
    message = "The node does not exist."


class RoleAlreadyExists(Error):
    code = "EntityAlreadyExists"
    status = 409
    message = "A role of that name exists already."


class NoSuchCluster(Error):
    code = "NoSuchEntity"
    status = 404
    message = "The cluster does not exist."


class ClusterAlreadyRegistered(Error):
    code = "EntityAlreadyExists"
    status = 409
    message = "The cluster is registered already."


# --- versioned repositories -------------------------------------------------------------------------------------------


class NoSuchProject(Error):
    status = 404
    message = "The specified project does not exist."


class NoSuchRepo(Error):
    """To S3 clients there is no bucket."""

    code = "NoSuchBucket"
    status = 404
    message = "The specified bucket does not exist."


class NoSuchBranch(NoSuchRepo):
    """The repository has no branch or tag of that name."""


class NoSuchCommit(NoSuchRepo):
    """The repository has no commit of that id, or none on that branch."""


class NoSuchTag(Error):
    status = 404
    message = "The specified tag does not exist."


class ProjectExists(Error):
    status = 409
    message = "The project exists already."


class RepoExists(Error):
    status = 409
    message = "The repository exists already."


class RefExists(Error):
    """A branch or a tag of that name is there: they share one space of names."""

    status = 409
    message = "The name is taken by a branch or a tag."


class ProjectNotEmpty(Error):
    status = 409
    message = "The project still has repositories."


class WriteToOutputBranch(Error):
    """Source: Pachyderm's S3 gateway."""

    status = 400
    message = "You cannot write to an output branch"


class BranchProtected(Error):
    code = "AccessDenied"
    status = 403
    message = "The branch is protected: changes come to it by merges."


class CommitFinished(Error):
    status = 409
    message = "The commit has already finished."


class ParentNotFinished(Error):
    """A commit is open on the branch."""

    status = 409
    message = "The parent commit has not been finished."


class CommitInUse(Error):
    """The commit cannot go: something else stands on it."""

    status = 409
    message = "The commit is in use."


class BranchInUse(Error):
    """The branch or repository cannot go, or be changed so: another branch depends on it."""

    status = 409
    message = "Another branch depends on it."


class SourceChanged(Error):
    """An object was brought in by reference, and is not what it was at its provider's any more."""

    status = 409
    message = "The object was brought in by reference, and has changed or gone where it is kept."


class NoSuchHook(Error):
    status = 404
    message = "The specified hook does not exist."


class NoSuchDelivery(Error):
    status = 404
    message = "The specified delivery does not exist, or is forgotten."


class HookExists(Error):
    status = 409
    message = "The hook exists already."


class HookRefused(Error):
    """A hook that is asked before something is committed does not want it."""

    code = "AccessDenied"
    status = 403
    message = "A hook refused it."


class HookUnavailable(Error):
    """A hook that is to be asked before something is committed does not answer. Nothing was committed."""

    code = "ServiceUnavailable"
    status = 503
    message = "A hook that has to be asked does not answer."
