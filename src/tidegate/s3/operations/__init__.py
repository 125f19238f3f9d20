"""What each operation of S3 does with a request: one function each, by Amazon's name in snake_case.

``HANDLERS`` has every operation that is implemented; any other that routing knows is answered with NotImplemented.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from tidegate.s3.call import Call, Response
from tidegate.s3.operations import attributes, buckets, copying, deleting, listing, multipart, objects, tagging

Handler = Callable[[Call], Awaitable[Response]]

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "ListBuckets": buckets.list_buckets,
        "CreateBucket": buckets.create_bucket,
        "HeadBucket": buckets.head_bucket,
        "DeleteBucket": buckets.delete_bucket,
        "GetBucketLocation": buckets.get_bucket_location,
        "GetBucketVersioning": buckets.get_bucket_versioning,
        "PutBucketVersioning": buckets.put_bucket_versioning,
        "GetBucketTagging": tagging.get_bucket_tagging,
        "PutBucketTagging": tagging.put_bucket_tagging,
        "DeleteBucketTagging": tagging.delete_bucket_tagging,
        "ListObjects": listing.list_objects,
        "ListObjectsV2": listing.list_objects_v2,
        "ListObjectVersions": listing.list_object_versions,
        "PutObject": objects.put_object,
        "GetObject": objects.get_object,
        "HeadObject": objects.head_object,
        "DeleteObject": deleting.delete_object,
        "DeleteObjects": deleting.delete_objects,
        "CopyObject": copying.copy_object,
        "RenameObject": copying.rename_object,
        "GetObjectAttributes": attributes.get_object_attributes,
        "GetObjectTagging": tagging.get_object_tagging,
        "PutObjectTagging": tagging.put_object_tagging,
        "DeleteObjectTagging": tagging.delete_object_tagging,
        "CreateMultipartUpload": multipart.create_multipart_upload,
        "UploadPart": multipart.upload_part,
        "UploadPartCopy": multipart.upload_part_copy,
        "ListParts": multipart.list_parts,
        "ListMultipartUploads": multipart.list_multipart_uploads,
        "CompleteMultipartUpload": multipart.complete_multipart_upload,
        "AbortMultipartUpload": multipart.abort_multipart_upload,
    }
)
