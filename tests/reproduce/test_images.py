"""Data sets are read as their formats say, and refused with a sentence where they are something else."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from interlayer.errors import UsageError
from interlayer.reproduce import images
from interlayer.reproduce.cifar_files import read_cifar
from interlayer.reproduce.experiments import EXPERIMENTS
from interlayer.reproduce.idx_files import read_idx, read_mnist
from tests.reproduce.files import idx, write_cifar, write_mnist


class TestMnist:
    @pytest.mark.parametrize("packed", [False, True])
    def test_pixels_and_labels_are_those_written(self, tmp_path: Path, packed: bool) -> None:
        written = write_mnist(tmp_path, packed=packed)
        for split, name in (("train", "train"), ("validation", "t10k")):
            found, labels = read_mnist(tmp_path, split)  # type: ignore[arg-type]  # a literal in a loop
            np.testing.assert_array_equal(found, written[name][0][:, None])
            np.testing.assert_array_equal(labels, written[name][1])

    def test_the_last_axis_is_fastest_and_extents_are_big_endian(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 10, 11, 12, 20, 21, 22]))
        assert read_idx(path, 3).tolist() == [[[10, 11, 12]], [[20, 21, 22]]]

    def test_a_missing_file_names_all_four(self, tmp_path: Path) -> None:
        write_mnist(tmp_path)
        (tmp_path / "t10k-labels-idx1-ubyte").unlink()
        with pytest.raises(UsageError, match=r"no t10k-labels-idx1-ubyte .*train-images-idx3-ubyte.*t10k-images"):
            read_mnist(tmp_path, "validation")

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "header is missing"),
            (b"\x00\x00\x08\x01" + bytes(8), "00 00 08 03 is expected"),
            (b"\x00\x00\x0d\x03" + bytes(12), "00 00 0d 03 where"),
            (idx(np.zeros((2, 4, 4)))[:-1], "31 values, but its header says 2 x 4 x 4"),
            (idx(np.zeros((2, 4, 4))) + b"\0", "33 values"),
            (idx(np.zeros((2, 4, 4)))[:7], "no IDX file"),
        ],
    )
    def test_a_file_that_is_something_else_is_refused(self, tmp_path: Path, content: bytes, said: str) -> None:
        path = tmp_path / "file"
        path.write_bytes(content)
        with pytest.raises(UsageError, match=said):
            read_idx(path, 3)

    def test_a_torn_archive_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "file.gz"
        for content in (gzip.compress(idx(np.zeros((2, 4, 4))))[:-9], b"no gzip at all"):
            path.write_bytes(content)
            with pytest.raises(UsageError, match="cannot be unpacked"):
                read_idx(path, 3)

    def test_images_and_labels_of_different_length_are_refused(self, tmp_path: Path) -> None:
        write_mnist(tmp_path)
        (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(9)))
        with pytest.raises(UsageError, match="60 images, but train-labels-idx1-ubyte 9 labels"):
            read_mnist(tmp_path, "train")
        (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(60)))
        with pytest.raises(UsageError, match="the label 59; digits are 0 to 9"):
            read_mnist(tmp_path, "train")


class TestCifar:
    @pytest.mark.parametrize("folder", ["", "cifar-10-batches-bin"])
    def test_records_come_in_the_order_of_the_batches_red_plane_first(self, tmp_path: Path, folder: str) -> None:
        written = write_cifar(tmp_path / folder)
        found, labels = read_cifar(tmp_path, "train")
        assert found.shape == (50, 3, 32, 32)
        assert labels.tolist() == [label for label, _ in written]
        label, pixels = written[37]
        assert labels[37] == label
        assert found[37, 0, 0, 1] == pixels[1]
        assert found[37, 1, 0, 0] == pixels[1024]
        assert found[37, 2, 31, 31] == pixels[3071]
        assert len(read_cifar(tmp_path, "validation")[0]) == 10

    def test_a_missing_file_names_all(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"no data_batch_1\.bin .*data_batch_5\.bin, test_batch\.bin"):
            read_cifar(tmp_path, "train")

    @pytest.mark.parametrize(
        ("content", "said"), [(bytes(3072), "not records"), (b"", "0 bytes"), (b"\x0a" + bytes(3072), "label 10")]
    )
    def test_a_file_that_is_something_else_is_refused(self, tmp_path: Path, content: bytes, said: str) -> None:
        write_cifar(tmp_path)
        (tmp_path / "test_batch.bin").write_bytes(content)
        with pytest.raises(UsageError, match=said):
            read_cifar(tmp_path, "validation")


class TestExperiments:
    def test_pixels_lie_between_0_and_1(self, tmp_path: Path) -> None:
        write_mnist(tmp_path)
        pixels = images.load(EXPERIMENTS["mnist"], tmp_path, 0)["train"].images
        assert pixels.dtype == np.float32
        assert (pixels.min(), pixels.max()) == (0, 1)

    def test_data_that_must_be_given_are_asked_for(self) -> None:
        with pytest.raises(UsageError, match="cifar10-true needs --data"):
            images.load(EXPERIMENTS["cifar10-true"], None, 0)

    def test_digits_are_halved_within_each_class_and_noise_has_its_size(self) -> None:
        true = images.load(EXPERIMENTS["digits-true"], None, 0)
        noisy = images.load(EXPERIMENTS["digits-noisy"], None, 0)
        counts = [np.bincount(part.labels) for part in true.values()]
        assert (np.abs(counts[0] - counts[1]) <= 1).all()
        everything = np.concatenate([part.images for part in true.values()]).reshape(-1, 64)
        assert len(np.unique(everything, axis=0)) == 1797  # no image is in both
        added = noisy["train"].images - true["train"].images
        assert added.std() == pytest.approx(EXPERIMENTS["digits-noisy"].noise, rel=0.02)
        other = images.load(EXPERIMENTS["digits-true"], None, 1)
        assert not np.array_equal(other["train"].images, true["train"].images)

    def test_random_labels_are_permuted_in_both_splits_anew_for_each_instance(self) -> None:
        experiment = EXPERIMENTS["digits-random"]
        true = images.load(experiment, None, 0)
        first, second, again = (images.labelled(true, experiment, instance, 0) for instance in (0, 1, 0))
        for split in true:
            np.testing.assert_array_equal(np.bincount(first[split].labels), np.bincount(true[split].labels))
            np.testing.assert_array_equal(first[split].labels, again[split].labels)
            assert np.mean(first[split].labels == true[split].labels) < 0.2
            assert np.mean(first[split].labels == second[split].labels) < 0.2

    def test_every_class_of_both_splits_gets_the_same_number_of_images(self) -> None:
        true = images.load(EXPERIMENTS["digits-true"], None, 0)
        for wanted, count in ((20, 20), (1000, 87)):  # the rarest digit has 174 images
            for split, part in images.analysed(true, wanted, 0).items():
                assert np.bincount(part.labels).tolist() == [count] * 10
                given = {
                    image.tobytes(): label for image, label in zip(true[split].images, true[split].labels, strict=True)
                }
                assert all(
                    given[image.tobytes()] == label for image, label in zip(part.images, part.labels, strict=True)
                )
