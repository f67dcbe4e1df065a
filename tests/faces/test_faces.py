"""Faces that are not aligned: poses, the warp, the fit by the prior, and photos with a face in them."""

import math
import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from inverso.faces import NoFaceError, Pose, find_faces, fit_face, restore_face, solve_faces, starts_of
from inverso.faces._framed import FramedFace
from inverso.faces._warp import lay, matrices, paste, rectify, soft_frame
from inverso.faces.fit import SPREAD, differences, moved
from inverso.images import Photo, photo
from inverso.operators import BoxMask, GaussianBlur, Identity
from inverso.priors import DCGAN, LatentPrior, WrappedDenoiser
from inverso.repair import Faces, Repair, repair

SIDE = 16


class OneFace(LatentPrior):
    """A prior of one face, in colors that its two latents move a little."""

    latent_weight = 1e-3

    def __init__(self):
        super().__init__(latent_shape=(2,), image_shape=(3, SIDE, SIDE))
        rows, columns = torch.meshgrid(torch.linspace(-1, 1, SIDE), torch.linspace(-1, 1, SIDE), indexing="ij")
        eyes = sum((-((columns - c).square() + (rows + 0.3).square()) / 0.06).exp() for c in (-0.4, 0.4))
        mouth = (-((columns / 2).square() + (rows - 0.5).square()) / 0.04).exp()
        self.register_buffer("face", (0.8 - 0.6 * eyes - 0.5 * mouth - 0.2 * rows).expand(3, -1, -1).clone())

    def forward(self, z):
        self.check_latent(z)
        return self.face + 0.02 * z[:, :1, None, None] * (1 + z[:, 1:, None, None] / 10)


@given(
    st.floats(-20, 40), st.floats(-20, 40), st.floats(2, 90), st.floats(-170, 170), st.integers(2, 9)
)  # fmt: skip
@settings(max_examples=20)
def test_corners_of_a_face_are_where_the_map_sends_them(x, y, size, angle, side):
    pose = Pose(x, y, size, angle)
    [linear] = matrices(pose.tensor()[None], side)
    ends = torch.tensor([[0, 0], [side, 0], [side, side], [0, side]], dtype=torch.float64) - 0.5
    sent = ends @ linear[:, :2].T + linear[:, 2] + 0.5
    assert_close(sent, torch.tensor(pose.corners(), dtype=torch.float64), atol=1e-6, rtol=0)
    assert Pose.of(pose.tensor()) == pose


@pytest.mark.parametrize("text", ["", "1,2", "1,2,x", "1,2,3,4,5", "1,2,-3", "1,2,nan"])
def test_places_that_are_none(text):
    with pytest.raises(ValueError, match=r"X,Y,SIDE .* a side above 0 in pixels, got"):
        Pose.parse(text)


def test_a_pose_refuses_what_is_none():
    with pytest.raises(ValueError, match="size"):
        Pose(0, 0, 0)
    with pytest.raises(ValueError, match="angle"):
        Pose(0, 0, 1, math.inf)


def test_a_face_laid_by_quarter_turns_is_that_face_turned():
    face = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    laid = lay(face, Pose(4, 4, 8, 90).tensor()[None], (8, 8))
    assert_close(laid, face.rot90(-1, (-2, -1)), atol=1e-9, rtol=0)
    assert_close(rectify(laid, Pose(4, 4, 8, 90).tensor()[None], 8), face, atol=1e-9, rtol=0)


def test_pasting_what_was_cut_out_changes_little_and_nothing_outside():
    x, pose = photo("astronaut", size=64).double(), Pose(30, 34, 36, 12).tensor()[None]
    cut = rectify(x, pose, 36)
    back = paste(x, cut, pose)
    assert (back - x).square().mean().sqrt() < 0.05
    assert_close(back[..., :8, :], x[..., :8, :])
    frame = soft_frame(36)
    assert float(frame.max()) == 1
    assert float(frame[..., 0, :].max()) < 0.04


def test_the_warp_has_a_gradient_in_the_pose():
    face = torch.rand(1, 1, 6, 6, dtype=torch.float64)
    pose = Pose(5.3, 4.9, 6.4, 8).tensor()[None].requires_grad_()
    torch.autograd.gradcheck(lambda p: lay(face, p, (9, 10)), pose)


def test_a_framed_face_measures_and_goes_back():
    framed = FramedFace(GaussianBlur(3, 1.0), Pose(7, 6, 9, 10).tensor()[None], (12, 14), 8)
    x, y = torch.rand(2, 3, 8, 8, dtype=torch.float64), torch.rand(2, 3, 12, 14, dtype=torch.float64)
    assert framed(x).shape == y.shape
    assert_close((framed(x) * y).sum(), (x * framed.adjoint(y)).sum())
    assert framed.input_shape((3, 12, 14)) == (3, 8, 8)


@pytest.mark.parametrize("true", [Pose(26, 23, 15, 0), Pose(23, 25, 19, 12), Pose(24, 24, 12, -10)])
def test_the_prior_finds_pose_and_colors(true):
    prior = OneFace()
    z = torch.tensor([[2.0, 0.0]])
    x = lay(prior(z), true.tensor().float()[None], (48, 48), beyond="border")
    A = BoxMask(6)
    found = fit_face(A(x), A, A.pinv(A(x)), prior, Pose(24, 24, 16))
    assert math.hypot(found.pose.x - true.x, found.pose.y - true.y) < 0.7
    assert found.pose.size == pytest.approx(true.size, rel=0.08)
    assert found.pose.angle == pytest.approx(true.angle, abs=4)
    assert found.misfit < 0.2
    assert found.evidence > 0


class Zoomed(LatentPrior):
    """A face on a plain ground, drawn smaller by the less likely latents."""

    latent_weight = 1e-3

    def __init__(self):
        super().__init__(latent_shape=(2,), image_shape=(3, 32, 32))
        rows, columns = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
        eyes = (-((columns.abs() - 0.35).square() + (rows + 0.3).square()) / 0.03).exp()
        head = (-(columns.square() + rows.square()) / 0.1).exp()
        self.register_buffer("face", (0.3 * head - 0.6 * eyes).expand(3, -1, -1).clone())

    def forward(self, z):
        self.check_latent(z)
        zoom = torch.eye(2, 3) * (0.012 * z[:, :1, None]).exp()
        grid = F.affine_grid(zoom, [len(z), 3, 32, 32], align_corners=False)
        return 0.5 + F.grid_sample(self.face.expand(len(z), -1, -1, -1), grid, align_corners=False)


def test_the_size_is_that_of_a_likely_face_and_not_of_a_larger_frame_with_an_unlikely_one():
    prior, true = Zoomed(), Pose(32, 32, 28)
    x = lay(prior(torch.zeros(1, 2)), true.tensor().float()[None], (64, 64), beyond="border")
    found = fit_face(x, Identity(), x, prior, Pose(32, 32, 40), descents=3)
    assert found.pose.size == pytest.approx(true.size, rel=0.05)


@pytest.mark.slow
def test_smooth_surroundings_tell_nothing_about_the_frame():
    prior, pose = OneFace(), Pose(20, 20, 14)
    x = lay(prior(torch.zeros(1, 2)), pose.tensor().float()[None], (40, 40))
    small, large = (
        fit_face(F.pad(x, (n,) * 4), Identity(), F.pad(x, (n,) * 4), prior, Pose(20 + n, 20 + n, 14)) for n in (0, 9)
    )
    assert large.pose.x - 9 == pytest.approx(small.pose.x, abs=1e-3)
    assert large.pose.size == pytest.approx(small.pose.size, abs=1e-3)
    assert large.evidence == pytest.approx(small.evidence, rel=1e-3)


def test_differences_are_those_of_pixels_some_apart():
    photo = torch.tensor([[[[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]]]])
    across, down = differences(photo, 1)
    assert_close(across, torch.tensor([[[1.0, 2.0, 0.0], [8.0, 16.0, 0.0]]]))
    assert_close(down, torch.tensor([[[7.0, 14.0, 28.0], [0.0, 0.0, 0.0]]]))
    assert_close(differences(photo, 2)[0], torch.tensor([[[3.0, 0.0, 0.0], [24.0, 0.0, 0.0]]]))


def test_deviations_are_in_units_of_the_spread():
    start = Pose(10, 20, 30, 5).tensor()[None]
    there = moved(start, torch.ones(1, 4, dtype=torch.float64))
    expected = [10 + SPREAD[0] * 30, 20 + SPREAD[1] * 30, 30 * math.exp(SPREAD[2]), 5 + SPREAD[3]]
    assert_close(there[0], torch.tensor(expected, dtype=torch.float64))


def test_what_the_prior_cannot_explain_is_no_face():
    noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert fit_face(noise, Identity(), noise, OneFace(), Pose(16, 16, 16)).evidence < 0
    with pytest.raises(NoFaceError, match="row 16"):
        restore_face(noise, Identity(), noise, OneFace(), Pose(16, 16, 16))


@pytest.mark.parametrize("side", [16, 36], ids=["as-small", "shrunk"])
def test_a_place_without_a_face_is_told_in_pixels_of_the_whole_photo(side):
    noise = torch.rand(1, 3, 120, 160, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, 120, 160, dtype=torch.bool)
    mask[..., 65:75, 95:105] = True
    denoiser = WrappedDenoiser(lambda image, _: image, channels=3, sigma_range=(0.002, 1.0))
    faces = Faces(OneFace(), [Pose(100, 70, side)])
    answer = repair(Photo(noise), Repair(noise=0.0), denoiser=denoiser, mask=mask, faces=faces)
    assert [line for line in answer.said if "at column 100 and row 70 the prior finds no face" in line], answer.said


@pytest.mark.slow
def test_only_wide_damage_of_a_face_is_filled_by_the_prior_of_faces():
    prior, true = OneFace(), Pose(60, 60, 32)
    x = lay(prior(torch.zeros(1, 2)), true.tensor().float()[None], (120, 120), beyond="border")
    wide, thin = torch.zeros(2, 1, 1, 120, 120, dtype=torch.bool)
    wide[..., 50:62, 52:64], thin[..., 68:71, 46:74] = True, True
    # It fills with nothing but the mean of what lies around, so that what the prior of faces filled can be told.
    denoiser = WrappedDenoiser(lambda image, _: image, channels=3, sigma_range=(0.002, 1.0))

    def repaired(mask, faces):
        return repair(Photo(x.masked_fill(mask, 1.0)), Repair(noise=0.0), denoiser=denoiser, mask=mask, faces=faces)

    without, answer = (repaired(wide | thin, faces) for faces in (None, Faces(prior, [true])))
    changed = (answer.photo.pixels != without.photo.pixels).any(dim=1, keepdim=True)
    assert bool(changed[wide].all())
    assert not bool(changed[~wide].any())
    error, before = ((each.photo.pixels - x)[wide.expand_as(x)].square().mean() for each in (answer, without))
    assert error < 0.1 * before
    scratched = repaired(thin, Faces(prior, [true]))
    assert torch.equal(scratched.photo.pixels, repaired(thin, None).photo.pixels)
    assert any("thinner than 7 pixels only" in line for line in scratched.said)


def test_a_photo_with_a_face_is_reconstructed():
    prior, true = OneFace(), Pose(21, 19, 17, 8)
    x = lay(prior(torch.zeros(1, 2)), true.tensor().float()[None], (40, 40), beyond="border")
    A = BoxMask(8)
    denoiser = WrappedDenoiser(lambda image, _: image, channels=3, sigma_range=(0.002, 1.0))
    answer, [face] = solve_faces(A(x), A, prior, denoiser, poses=[Pose(20, 20, 16)], method="csgm+bp")
    plain = A.pinv(A(x))
    assert (answer.image - x).square().mean() < 0.1 * (plain - x).square().mean()
    assert_close(A(answer.image), A(x), atol=1e-4, rtol=0)
    assert [stage.name for stage in answer.stages][-2:] == ["face", "bp"]
    assert face.fitted.pose.told() in answer.stages[-2].note


def test_several_photos_at_once_are_refused():
    with pytest.raises(ValueError, match="a y of 2"):
        solve_faces(torch.rand(2, 3, 8, 8), Identity(), DCGAN(8, width=4), None)


def test_faces_are_not_looked_for_among_eight_bit_values():
    with pytest.raises(ValueError, match="divide by 255"):
        find_faces(torch.full((1, 3, 32, 48), 128.0))


def test_a_photo_without_a_face_says_so():
    with pytest.raises(NoFaceError, match="48 x 32"):
        starts_of(torch.full((1, 3, 32, 48), 0.5))
    assert starts_of(torch.zeros(1, 3, 8, 8), [Pose(1, 2, 4)]) == (Pose(1, 2, 4),)


@pytest.mark.parametrize("side", [3, 97, 1e6])
def test_a_frame_that_is_not_of_a_face_in_the_photo_is_refused(side):
    with pytest.raises(ValueError, match=f"side of {re.escape(f'{side:g}')} pixels in the photo of 48 x 32.*4 to 96"):
        starts_of(torch.zeros(1, 3, 32, 48), [Pose(20, 10, side)])


def test_a_face_outside_of_the_photo_is_refused():
    with pytest.raises(ValueError, match="column 9 and row 2, outside of the photo of 8 x 8 pixels"):
        starts_of(torch.zeros(1, 3, 8, 8), [Pose(1, 2, 4), Pose(9, 2, 4)])


def test_a_prior_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="square"):
        fit_face(torch.rand(1, 1, 9, 9), Identity(), torch.rand(1, 1, 9, 9), OneFace(), Pose(4, 4, 8))


@pytest.mark.slow
def test_two_faces_in_a_photo_one_of_them_turned():
    from skimage.data import astronaut
    from skimage.transform import rotate

    face = astronaut()[20:220, 120:330] / 255
    sheet = torch.full((1, 3, 260, 520), 0.7)
    for left, angle in ((20, 0), (270, -20)):
        piece = torch.from_numpy(rotate(face, angle, mode="edge")).permute(2, 0, 1)[None].float()
        sheet[..., 30:230, left : left + 210] = piece
    # What is taken for a larger face around one is kept as well: the prior decides.
    upright, turned = sorted((pose for pose in find_faces(sheet) if 100 < pose.size < 125), key=lambda pose: pose.x)
    assert abs(upright.angle) < 1
    assert abs(turned.angle) == pytest.approx(20, abs=8)
    with pytest.raises(ValueError, match="one image"):
        find_faces(torch.rand(2, 3, 8, 8))
