from pathlib import Path

import pytest

from reproduction.stages import write_pairs
from sod.folders import check_apart, check_folders, read_pools
from sod.pool import HELD_OUT, TRAINING, make_pool
from wrg_onnx.errors import DataError, UsageError


def pairs(folder, count=6, *, stream=TRAINING):
    """Write made pairs to a folder; the same stream gives the same ones."""
    write_pairs(make_pool(count, 32, seed=0, stream=stream), count, folder)
    return folder


@pytest.mark.parametrize(
    ("training", "judged", "message"),
    [
        (["a", "b", "./a"], [], "--data 'a' is the folder of --data 'a' already"),
        (["a"], ["b/../a"], "--judge 'b/../a' is the folder of --data 'a' already"),
        (["a"], ["b", "b"], "--judge 'b' is the folder of --judge 'b' already"),
        ([], ["b"], "--judge needs --data"),
    ],
)
def test_a_folder_that_is_named_twice_is_refused(training, judged, message):
    with pytest.raises(UsageError, match=message):
        check_folders([Path(one) for one in training], [Path(one) for one in judged])


def test_a_link_to_a_training_folder_does_not_judge(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UsageError, match=r"--judge .*b' is the folder of --data .*a' already"):
        check_folders([tmp_path / "a"], [tmp_path / "b"])


def test_an_image_that_trains_and_judges_is_refused_under_any_name(tmp_path):
    training, judged = pairs(tmp_path / "a"), pairs(tmp_path / "b", stream=HELD_OUT)
    first, second = read_pools([training], [judged], 32, share=0.5, seed=0)
    assert (len(first), len(second)) == (6, 6)
    for kind in ("images", "masks"):
        (judged / kind / "0009.png").write_bytes((training / kind / "0002.png").read_bytes())
    with pytest.raises(
        DataError, match=r"1 of 7 images that judge .* train: '0009.png' is '0002.png'"
    ):
        read_pools([training], [judged], 32, share=0.5, seed=0)


def test_pairs_that_are_held_out_do_not_train(tmp_path):
    folder = pairs(tmp_path / "a", 8)
    training, judged = read_pools([folder], [], 32, share=0.25, seed=0)
    assert len(judged) == 2
    assert sorted(training.names + judged.names) == [f"{number:04}.png" for number in range(8)]
    with pytest.raises(UsageError, match="one of the pairs is held out: 1 images"):
        read_pools([pairs(tmp_path / "b", 1)], [], 32, share=0.25, seed=0)


def test_made_images_that_judge_are_apart_from_those_that_train():
    training = make_pool(20, 32, seed=0, stream=TRAINING)
    check_apart(training, make_pool(20, 32, seed=0, stream=HELD_OUT))
    with pytest.raises(DataError, match="2 of 2 images that judge"):
        check_apart(training, training.take([3, 5]))
