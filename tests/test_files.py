"""Files appear whole or not at all, and errors name the file that was asked for."""

import errno
import os

import pytest

from inverso._files import replacing


def test_devices_are_not_replaced(tmp_path):
    (tmp_path / "out.png").symlink_to(os.devnull)
    with pytest.raises(ValueError, match=r"out\.png is not a regular file"):
        replacing(tmp_path / "out.png").__enter__()


def test_a_full_disk_names_the_file_and_keeps_the_old_one(tmp_path):
    (tmp_path / "out.png").write_text("old")

    def write() -> None:
        with replacing(tmp_path / "out.png") as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"out\.png") as caught:
        write()
    assert "tmp" not in str(caught.value).replace(str(tmp_path), "")
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]
    assert (tmp_path / "out.png").read_text() == "old"
