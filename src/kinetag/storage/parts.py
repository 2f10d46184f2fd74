"""A large file as an object of S3, sent in parts: several at once, each tried again by itself.

Nothing of it is to be seen before the last request puts the parts together; a transfer that fails gives them up.
"""

import mimetypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

AT_ONCE = 4  # parts under way: with their size, the memory that a transfer takes
MOST_PARTS = 10_000  # of an object

Try = Callable[[Callable[[], Any]], Any]  # calls what it is given, again where what went wrong may pass


def put_in_parts(system: Any, source: Path, url: str, size: int, again: Try, tell: Callable[[int], None]) -> None:
    """Store ``source`` through s3fs's ``system`` in parts of about ``size`` bytes; ``tell`` hears how many are sent."""
    bucket, key, _ = system.split_path(url)
    place = {"Bucket": bucket, "Key": key}
    kind, _ = mimetypes.guess_type(url)
    about = {"ContentType": kind} if kind else {}
    with open(source, "rb") as stream:
        whole = os.fstat(stream.fileno()).st_size  # what is added meanwhile comes with the next sending
        size = max(size, -(-whole // MOST_PARTS))
        upload = again(lambda: system.call_s3("create_multipart_upload", **place, **about))["UploadId"]
        place["UploadId"] = upload
        try:
            parts = _send(system, stream, whole, size, place, again, tell)
            again(lambda: _complete(system, place, parts))
        except BaseException:
            with suppress(Exception):  # the store's own rule for unfinished uploads may have to do it
                system.call_s3("abort_multipart_upload", **place)
            raise


def _send(
    system: Any, stream: Any, whole: int, size: int, place: dict[str, str], again: Try, tell: Callable[[int], None]
) -> list[dict[str, Any]]:
    reading = threading.Lock()

    def send(number: int) -> dict[str, Any]:
        start = (number - 1) * size
        with reading:
            stream.seek(start)
            data = stream.read(min(size, whole - start))
        made = again(lambda: system.call_s3("upload_part", **place, PartNumber=number, Body=data))
        return {"PartNumber": number, "ETag": made["ETag"]}

    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="send")
    parts: list[dict[str, Any]] = []
    try:
        for part in pool.map(send, range(1, -(-whole // size) + 1)):
            parts.append(part)
            tell(min(whole, part["PartNumber"] * size))
    finally:
        pool.shutdown(cancel_futures=True)
    return parts


def _complete(system: Any, place: dict[str, str], parts: list[dict[str, Any]]) -> None:
    """Put the parts together. Asked again because the answer was lost, S3 says that it knows no such upload."""
    try:
        system.call_s3("complete_multipart_upload", **place, MultipartUpload={"Parts": parts})
    except FileNotFoundError:
        found = system.call_s3("head_object", Bucket=place["Bucket"], Key=place["Key"])
        if not found["ETag"].strip('"').endswith(f"-{len(parts)}"):
            raise
