"""One request's hold on a resumable upload, from the first of its bytes to the last."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from contract.blobs import Partial
from contract.formats import Format
from contract.schemas import ProblemError
from contract.upload_rows import Upload

if TYPE_CHECKING:
    from contract.uploads import Uploads


class Appending:
    """One request's hold on an upload. Bytes count as received once `commit` has returned."""

    def __init__(
        self,
        owner: "Uploads",
        upload: Upload,
        partial: Partial,
        digest: "hashlib._Hash | None",
        let_go: Callable[[], None],
    ) -> None:
        self._owner, self.upload, self._partial, self._digest, self._let_go = owner, upload, partial, digest, let_go
        self._before = None if digest is None else digest.copy()
        self.position = upload.received

    def write(self, block: bytes) -> None:
        """Append bytes, never more than the upload was said to have."""
        if self.position + len(block) > self.upload.length:
            raise ProblemError("request_too_large", f"the upload was said to have {self.upload.length} bytes, no more")
        self._partial.write(block)
        if self._digest is not None:
            self._digest.update(block)
        self.position += len(block)

    @property
    def uncommitted(self) -> int:
        """The number of bytes that would be sent again after a crash."""
        return self.position - self.upload.received

    def commit(self) -> None:
        """Make what was written count. The last bytes of an upload count with `complete` only."""
        if self.upload.received < self.position < self.upload.length:
            self._partial.sync()
            self.upload = self._owner.advance(self.upload, received=self.position)
            self._before = None if self._digest is None else self._digest.copy()

    @contextmanager
    def judging(self) -> Iterator[None]:
        """End the upload, and keep nothing of it, where its bytes are refused."""
        try:
            yield
        except ProblemError:
            self._owner.forget(self.upload)
            raise

    def complete(self, recognize: Callable[[bytes], Format], recognized_bytes: int) -> None:
        """Turn the whole file into an artifact, if it is what was announced."""
        with self.judging():
            file_format = recognize(self._partial.start(recognized_bytes))
            sha256 = (self._digest or self._partial.sha256()).hexdigest()
            expected = self.upload.expected_sha256
            if expected is not None and expected != sha256:
                raise ProblemError(
                    "checksum_mismatch", f"`sha256` says {expected}, the bytes have {sha256}; begin a new upload"
                )
        self._partial.sync()
        self.upload = self._owner.advance(self.upload, received=self.position, sha256=sha256, format=file_format)
        self._owner.store(self.upload)

    def close(self) -> None:
        """Let go of the upload. What was not committed is sent again."""
        if self.upload.sha256 is None and self._before is not None:
            self._owner.remember(self.upload.id, self.upload.received, self._before)
        self._let_go()
