"""Where the machines of a cluster leave parts for each other: a folder they all see, or an object store, by fsspec."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cai.errors import RunError, UserError, install

OBJECTS = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci"}


class Storage:
    """Files under a URL, by their names below it.

    Args:
        url: ``/mnt/shared/run``, ``s3://bucket/run``, … whatever fsspec reaches from here.
        home: the run's folder; where the URL is just that, nothing has to travel.

    Raises:
        UserError: the URL's protocol is not known here, or lacks its package.
    """

    def __init__(self, url: str, home: Path) -> None:
        try:
            import fsspec
        except ImportError:
            raise UserError(f"--ray needs the package fsspec; run: {install('ray')}") from None

        self.url = url
        try:
            self.files, self.root = fsspec.core.url_to_fs(url, skip_instance_cache=True)
        except (ImportError, ValueError) as error:
            raise UserError(f"--store {url}: {error}") from None
        protocol = self.files.protocol
        self.protocols = {protocol} if isinstance(protocol, str) else {*protocol}
        self.is_home = "file" in self.protocols and Path(self.root) == home

    def put(self, file: Path, name: str) -> None:
        """Bring a file, or a folder with all in it, here; replaces what has the name.

        Raises:
            RunError: the storage cannot be reached or written, as for all that follow.
        """
        with self._failing(name):
            self._make_folder(name)
            if file.is_dir() and self.files.exists(self._path(name)):
                self.files.rm(self._path(name), recursive=True)  # put would make the new one inside the old one
            self.files.put(str(file), self._path(name), recursive=file.is_dir())

    def get(self, name: str, file: Path) -> None:
        """Fetch a file, or a folder with all in it; its name is there only when it is whole."""
        aside = file.with_name(f".{file.name}.tmp")
        with self._failing(name):
            file.parent.mkdir(parents=True, exist_ok=True)
            self.files.get(self._path(name), str(aside), recursive=self.files.isdir(self._path(name)))
            aside.replace(file)

    def move(self, name: str, to: str) -> None:
        """Give a file another name."""
        with self._failing(name):
            self._make_folder(to)
            self.files.mv(self._path(name), self._path(to))

    def remove(self, name: str) -> None:
        """Delete a folder with all in it, if it is there."""
        with self._failing(name):
            if self.files.exists(self._path(name)):
                self.files.rm(self._path(name), recursive=True)

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        with self._failing(name):
            return self.files.exists(self._path(name))

    def _make_folder(self, name: str) -> None:
        if not OBJECTS & self.protocols:  # there, a folder that is missing is a bucket that would be made
            self.files.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)

    def _path(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"

    @contextmanager
    def _failing(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # every protocol has errors of its own
            reason = str(error) or type(error).__name__
            raise RunError(f"storage {self.url}: {name}: {reason}; mend it, then run the same command again") from error
