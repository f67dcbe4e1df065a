"""Operators as text: what is written is what is built, and what cannot be built is refused in plain words."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inverso.operators import (
    Bicubic,
    Blur,
    BoxMask,
    ColorNoise,
    FFTMask,
    FrequencyMask,
    GaussianBlur,
    Identity,
    Mask,
    RandomColor,
    RandomGaussian,
    RandomMask,
)
from inverso.operators.spec import OperatorSpec, Term, known_texts, parse_operator, quoted

SHAPE = (3, 32, 32)


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        ("bicubic:4", Bicubic(4)),
        ("fft:0.3", FFTMask(0.3)),
        ("fft:0.3,density=gaussian,symmetric=true,seed=1", FFTMask(0.3, density="gaussian", symmetric=True, seed=1)),
        ("fft:0.3,gaussian,no,2", FFTMask(0.3, density="gaussian", seed=2)),
        ("mask:0.4", RandomMask(0.4)),
        ("mask:keep=.4,fill=color,seed=-3", RandomMask(0.4, fill=RandomColor(), seed=-3)),
        ("box:8", BoxMask(8)),
        ("box:8x10,corner=0x4", BoxMask((8, 10), corner=(0, 4))),
        ("box:8,random=yes", BoxMask(8, random=True)),
        ("color-noise:0.4", ColorNoise(0.4)),
        ("blur:9,3", GaussianBlur(9, 3.0)),
        ("blur:9,sigma=1.5,padding=circular", GaussianBlur(9, 1.5, padding="circular")),
        ("identity", Identity()),
        (" Identity: ", Identity()),
        ("gaussian:50", RandomGaussian(50, SHAPE)),
    ],
)
def test_spec_builds_the_operator(text, operator):
    assert parse_operator(text).build(SHAPE) == operator


def test_composition_is_in_the_order_of_the_library():
    spec = parse_operator("bicubic:2 @ mask:0.5")
    x = torch.rand(1, *SHAPE)
    torch.testing.assert_close(spec.build()(x), (Bicubic(2) @ RandomMask(0.5))(x))


def test_composed_gaussian_gets_the_shape_of_what_it_measures():
    spec = parse_operator("gaussian:50@bicubic:2@mask:0.5")
    x = torch.rand(1, *SHAPE)
    expected = RandomGaussian(50, (3, 16, 16)) @ (Bicubic(2) @ RandomMask(0.5))
    torch.testing.assert_close(spec.build(SHAPE)(x), expected(x))


@pytest.mark.parametrize("name", sorted(known_texts()))
def test_every_example_builds_and_measures(name):
    spec = parse_operator(known_texts()[name].example)
    assert spec.terms[0].name == name
    assert spec.build((3, 40, 40))(torch.rand(1, 3, 40, 40)).isfinite().all()


numbers = st.floats(1e-6, 1.0)
seeds = st.integers(-(2**63), 2**63 - 1)
pairs = st.tuples(st.integers(0, 99), st.integers(0, 99))
VALUES = {
    "scale": st.integers(2, 32),
    "kernel_size": st.integers(0, 9).map(lambda k: 2 * k + 1),
    "sigma": st.floats(0.01, 50),
    "padding": st.sampled_from(["reflect", "circular", "zero"]),
    "size": st.one_of(st.integers(1, 99), pairs),
    "corner": pairs,
    "random": st.booleans(),
    "symmetric": st.booleans(),
    "density": st.sampled_from(["uniform", "gaussian"]),
    "fill": st.sampled_from(["white", "color"]),
    "keep": numbers,
    "m": st.integers(1, 9999),
    "seed": seeds,
}


@st.composite
def terms(draw):
    name = draw(st.sampled_from(sorted(known_texts())))
    parameters = known_texts()[name].parameters
    chosen = {key for key, p in parameters.items() if p.required or draw(st.booleans())}
    return Term(name, {key: draw(VALUES[key]) for key in parameters if key in chosen})


@given(st.lists(terms(), min_size=1, max_size=3))
def test_spec_reads_back_what_it_writes(written):
    spec = OperatorSpec(tuple(written))
    assert parse_operator(str(spec)) == spec


def refusal(text):
    try:
        parse_operator(text)
    except ValueError as error:
        return str(error)
    return None


@given(st.text(alphabet="abfikmnotx:@,=.0139- ", max_size=20))
def test_any_text_is_read_or_refused_in_one_line(text):
    message = refusal(text)
    if message is None:
        assert refusal(str(parse_operator(text))) is None
    else:
        assert "operator" in message
        assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bicubci:4", r"unknown operator 'bicubci' in 'bicubci:4'; did you mean 'bicubic'\?; known: bicubic, blur"),
        ("warp", "unknown operator 'warp' in 'warp'; known: bicubic, .*, mask"),
        ("", "an operator is missing in ''; known: bicubic"),
        ("mask:0.5@", "an operator is missing in 'mask:0.5@'"),
        ("bicubic", "operator 'bicubic' needs scale, as in 'bicubic:4'"),
        ("blur:", "operator 'blur:' needs kernel_size and sigma, as in 'blur:9,3'"),
        ("blur:9", "operator 'blur:9' needs sigma"),
        ("bicubic:four", "operator 'bicubic:four': scale must be an integer from 2 to 32, got 'four'"),
        ("bicubic:2.5", "scale must be an integer from 2 to 32, got '2.5'"),
        ("mask:half", r"keep must be a number in \(0, 1\], got 'half'"),
        ("fft:0.3,dense", "density must be uniform or gaussian, got 'dense'"),
        ("fft:0.3,symmetric=perhaps", "symmetric must be true or false, got 'perhaps'"),
        (
            "fft:0.3,sede=1",
            "operator 'fft:0.3,sede=1' has no argument 'sede'; it takes keep, density, symmetric, seed",
        ),
        ("identity:1", "operator 'identity:1' has one argument too many: '1'; it takes none"),
        ("mask:0.4,keep=0.5", "has keep twice"),
        ("mask:seed=1,0.4", "has '0.4' after a named argument; unnamed ones come first"),
        ("box:8,corner=4", "corner must be TOPxLEFT in pixels, got '4'"),
        ("box:8x9x10", "size must be a number of pixels or HEIGHTxWIDTH, got '8x9x10'"),
    ],
)
def test_what_cannot_be_read_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_operator(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fft:2", r"operator 'fft:2.0': keep must lie in \(0, 1\], got 2.0"),
        ("fft:nan", "operator 'fft:nan': keep must be"),
        ("blur:8,3", "operator 'blur:8,3.0': .*odd"),
        ("bicubic:64", "operator 'bicubic:64': "),
        ("mask:0.5@gaussian:9", "gaussian measures no picture, so nothing can follow it"),
    ],
)
def test_what_cannot_be_built_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_operator(text).build(SHAPE)


def test_gaussian_without_a_size_is_refused():
    with pytest.raises(ValueError, match="operator 'gaussian:9' needs the size of the image; give a prior or a size"):
        parse_operator("gaussian:9").build()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A mask with a scratch one pixel thin, a kernel, and sampled frequencies, in the current folder."""
    from inverso.images import save_image

    monkeypatch.chdir(tmp_path)
    scratch = torch.zeros(1, 32, 32)
    scratch[:, 3:30, 7] = 1
    save_image(scratch, "mask.png")
    save_image(torch.tensor([[[0.0, 0.5, 0.0], [0.25, 1.0, 0.25], [0.0, 0.5, 0.0]]]), "kernel.png")
    np.save("sampled.npy", FFTMask(0.3).mask(SHAPE)[0].numpy())
    return scratch


def test_masks_come_from_files_white_where_damaged(files):
    A = parse_operator("mask:mask.png").build(SHAPE)
    assert isinstance(A, Mask)
    x = torch.rand(1, *SHAPE)
    assert torch.equal(A(x), x * (1 - files))
    assert isinstance(parse_operator("bicubic:2@mask:file=mask.png,fill=color").build(SHAPE)(x), torch.Tensor)


def test_kernels_come_from_files(files):
    A = parse_operator("blur:kernel.png,padding=valid").build(SHAPE)
    assert isinstance(A, Blur)
    assert float(A.kernel.sum()) == pytest.approx(1)
    assert A.padding == "valid"


@pytest.mark.parametrize("shifted", [False, True])
def test_frequencies_come_from_files(files, shifted):
    pattern = FFTMask(0.3).mask(SHAPE)[0]
    np.save("sampled.npy", (torch.fft.fftshift(pattern) if shifted else pattern).numpy())
    A = parse_operator(f"fft:sampled.npy,shifted={shifted}".lower()).build(SHAPE)
    x = torch.rand(1, *SHAPE)
    assert isinstance(A, FrequencyMask)
    assert torch.equal(A(x), FFTMask(0.3)(x))


@pytest.mark.parametrize(
    "text",
    [
        "mask:mask.png",
        "mask:mask.png,fill=color",
        "fft:sampled.npy,shifted=true",
        'mask:"a@b, c=d.png"@bicubic:2',
    ],
)
def test_specs_with_files_read_back(text):
    assert str(parse_operator(text)) == text


def test_names_in_quotes_may_hold_what_a_spec_is_divided_by():
    spec = parse_operator(f"mask:file={quoted('a@b, c=d.png')},fill=color@mask:file=plain")
    assert spec.files == (Path("a@b, c=d.png"), Path("plain"))
    assert dict(spec.terms[0].arguments) == {"file": "a@b, c=d.png", "fill": "color"}
    with pytest.raises(ValueError, match="rename the file"):
        quoted('a@"b".png')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mask:none.png", "there is no file none.png"),
        ("mask:kernel.png", "kernel.png has 3 x 3 pixels and the picture that it covers 32 x 32"),
        ("mask:kernel.png@bicubic:2", "kernel.png has 3 x 3 pixels and the picture that it covers 16 x 16"),
        ("fft:small.npy", "small.npy has 5 x 4 frequencies and the image 32 x 32"),
        ("fft:text.npy", "text.npy cannot be read as an .npy of numbers"),
        ("blur:even.png", "odd"),
        ("blur:dark.png", "dark.png holds no blur kernel"),
        ("mask:dark.png", "dark.png has 4 x 4 pixels"),
    ],
)
def test_files_that_do_not_fit_are_refused(files, text, message):
    from inverso.images import save_image

    np.save("small.npy", np.ones((4, 5)))
    Path("text.npy").write_text("no numbers")
    save_image(torch.ones(1, 4, 4), "even.png")
    save_image(torch.zeros(1, 4, 4), "dark.png")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        parse_operator(text).build(SHAPE)
