"""Folders of diffusers against what diffusers computes with them, and what is refused in them."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from inverso.priors import load
from inverso.priors._formats.diffusers import read_diffusers, read_scheduler
from inverso.priors.denoisers import DiffusionDenoiser
from inverso.priors.denoisers._diffusers import UNet2D, UNet2DSizes
from priors.denoisers.golden import DATA, arrays, assert_same, full_size

FOLDERS = DATA / "diffusers"


@pytest.mark.parametrize("folder", ["pipeline", "pipeline/unet", "unet_old_bin"])
@pytest.mark.parametrize(
    ("prediction", "expected"), [("epsilon", "epsilon"), ("v_prediction", "v"), ("sample", "sample")]
)
def test_pipelines_and_u_nets_of_today_and_of_the_first_releases(folder, prediction, expected):
    denoiser = load(FOLDERS / folder, kind=DiffusionDenoiser)
    golden = arrays("diffusers/pipeline")
    assert denoiser.image_shape == (3, 16, 16)
    assert denoiser.prediction == "epsilon"
    assert_same(denoiser.network(golden["x"], golden["t"].float()), golden["out"])
    denoiser.prediction, denoiser.whole_times = prediction, True
    assert_same(denoiser(golden["x01_noisy"], golden["sigma01"]), golden[f"denoised01_{expected}"])


def test_the_constructor_s_own_defaults():
    denoiser = load(FOLDERS / "plain_defaults", kind=DiffusionDenoiser)
    golden = arrays("diffusers/plain_defaults")
    assert_same(denoiser.network(golden["x"], golden["t"].float()), golden["out"])
    assert_same(denoiser.network(golden["x"], golden["t_fractional"].float()), golden["out_fractional"])


def test_the_schedule_is_that_of_the_scheduler():
    schedule = load(FOLDERS / "pipeline", kind=DiffusionDenoiser).schedule
    kept = 1 / (1 + schedule.sigmas.square())
    torch.testing.assert_close(kept.float(), arrays("diffusers/pipeline")["alphas_cumprod"].float(), rtol=1e-4, atol=0)


def test_full_size():
    upstream, known = full_size("ddpm_celebahq_256")
    config = known.get("config", known.get("kwargs"))
    sizes = UNet2DSizes(
        block_out_channels=(128, 128, 256, 256, 512, 512),
        down_block_types=("DownBlock2D",) * 4 + ("AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D") + ("UpBlock2D",) * 4,
        attention_head_dim=None,
        norm_eps=1e-6,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
    )
    with torch.device("meta"):
        network = UNet2D(sizes)
    assert config is None or tuple(config["block_out_channels"]) == sizes.block_out_channels
    assert {name: value.shape for name, value in network.state_dict().items()} == {
        name: value.shape for name, value in upstream.items()
    }


@pytest.mark.parametrize("kind", ["resnet", "conv"])
def test_other_ways_to_change_the_resolution(kind):
    sizes = UNet2DSizes(
        out_channels=6,
        block_out_channels=(8, 8),
        down_block_types=("ResnetDownsampleBlock2D" if kind == "resnet" else "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "ResnetUpsampleBlock2D" if kind == "resnet" else "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        resnet_time_scale_shift="scale_shift",
        downsample_type=kind,
        upsample_type=kind,
    )
    network = UNet2D(sizes, mid_norm=False)
    assert network(torch.rand(1, 3, 8, 8), torch.tensor([10.0])).shape == (1, 6, 8, 8)
    names = set(network.state_dict())
    assert ("down_blocks.0.downsamplers.0.conv1.weight" in names) == (kind == "resnet")
    assert ("up_blocks.0.upsamplers.0.conv.weight" in names) == (kind == "conv")
    assert network.down_blocks[0].resnets[0].time_emb_proj.out_features == 16


@pytest.fixture
def folder(tmp_path):
    target = tmp_path / "pipeline"
    shutil.copytree(FOLDERS / "pipeline", target)
    return target


def change(path, **settings):
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"_class_name": "UNet2DConditionModel"}, "_class_name is 'UNet2DConditionModel'"),
        ({"act_fn": "gelu"}, "act_fn is 'gelu'"),
        ({"time_embedding_type": "fourier"}, "time_embedding_type is 'fourier'"),
        ({"num_class_embeds": 10}, "num_class_embeds is '10'"),
        ({"down_block_types": ["DownBlock2D", "SkipDownBlock2D"]}, "down_block_types .*SkipDownBlock2D"),
        ({"down_block_types": ["DownBlock2D"]}, "down_block_types must have 2 entries"),
        ({"block_out_channels": [8, 1 << 40]}, "1099511627776, more than"),
        ({"block_out_channels": [8] * 500}, "length of block_out_channels is 500"),
        ({"block_out_channels": [8, 16]}, "do not fit UNet2D"),
        ({"layers_per_block": 10**9}, "layers_per_block is 1000000000"),
        ({"layers_per_block": -1}, "layers_per_block .* -1"),
        ({"layers_per_block": "2"}, "layers_per_block .* '2'"),
        ({"in_channels": 4, "out_channels": 4}, "makes 4 channels of 4"),
        ({"norm_num_groups": 5}, "divisible"),
        ({"norm_eps": 0}, "norm_eps"),
        ({"attention_head_dim": 3}, "attention_head_dim 3 does not divide 8"),
        ({"sample_size": 1 << 30}, "sample_size is 1073741824"),
        ({"freq_shift": 0.5}, "freq_shift must be one of 0, 1, got 0.5"),
    ],
)
def test_u_nets_that_are_refused(folder, settings, message):
    change(folder / "unet" / "config.json", **settings)
    with pytest.raises(ValueError, match=f"pipeline cannot be used: .*{message}"):
        load(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta_schedule": "sigmoid"}, "got 'sigmoid'"),
        ({"num_train_timesteps": 1 << 40}, "steps must be at most"),
        ({"beta_end": 2.0}, r"betas in \(0, 1\)"),
        ({"beta_start": "0.1"}, "first beta .* '0.1'"),
        ({"trained_betas": ["0.1"]}, "trained_betas"),
        ({"trained_betas": [0.1, 1.5]}, r"betas in \(0, 1\)"),
        ({"prediction_type": "score"}, "prediction .* 'score'"),
        ({"rescale_betas_zero_snr": True}, "pure noise"),
    ],
)
def test_schedulers_that_are_refused(folder, settings, message):
    change(folder / "scheduler" / "scheduler_config.json", **settings)
    with pytest.raises(ValueError, match=f"pipeline cannot be used: .*{message}"):
        load(folder)


def test_other_folders_are_refused(folder):
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ValueError, match="weights are missing: one of diffusion_pytorch_model"):
        load(folder)
    (folder / "unet" / "config.json").write_text("[1")
    with pytest.raises(ValueError, match=r"config\.json is not JSON"):
        load(folder)
    (folder / "unet" / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"config\.json holds a list"):
        load(folder)
    (folder / "unet" / "config.json").write_text(" " * (1 << 21))
    with pytest.raises(ValueError, match=r"config\.json has more than 1048576 bytes"):
        load(folder)
    (folder / "unet" / "config.json").write_text("[" * 200_000)
    with pytest.raises(ValueError, match=r"config\.json is not JSON"):
        load(folder)
    change(folder / "model_index.json", vqvae=["diffusers", "VQModel"])
    with pytest.raises(ValueError, match="pipeline has a vqvae"):
        load(folder)
    with pytest.raises(ValueError, match=r"config\.json is missing"):
        read_diffusers(folder.parent)


def test_a_scheduler_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="ScoreSdeVeScheduler has no beta_schedule"):
        read_scheduler({"_class_name": "ScoreSdeVeScheduler", "sigma_max": 1348.0})
    schedule, prediction = read_scheduler({"beta_schedule": "linear", "trained_betas": [0.1, 0.2]})
    assert schedule.betas.tolist() == [0.1, 0.2]
    assert prediction == "epsilon"
