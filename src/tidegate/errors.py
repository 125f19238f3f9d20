"""What can go wrong, said once.

Every error that a client can be told about is a class here: it knows its S3 code (its name unless it says otherwise),
its HTTP status and a default message. Rooms raise these where the fault is known; each door turns them into its own
wire format in one place. Nothing here does I/O.

Source of codes and messages: Amazon S3 API reference, "Error responses".
"""

from __future__ import annotations

from typing import ClassVar


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


class MethodNotAllowed(Error):
    status = 405
    message = "The specified method is not allowed against this resource."


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
    status = 403
    message = "Access Denied"


class AccessForbidden(Error):
    status = 403
    message = "CORSResponse: CORS is not enabled for this bucket."


class InvalidAccessKeyId(Error):
    status = 403
    message = "The AWS Access Key Id you provided does not exist in our records."


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


class MissingSecurityHeader(Error):
    status = 400
    message = "Your request was missing a required header."


# --- buckets ---------------------------------------------------------------------------------------------------------


class NoSuchBucket(Error):
    status = 404
    message = "The specified bucket does not exist"


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
