"""`solve`: reconstruct images from measurements."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn, TypeVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

from inverso._checks import as_seed, check_count, check_measurement, check_non_negative
from inverso._random import fork_rng
from inverso._solver_checks import check_parts, check_state, check_y, warn_if_blown_up
from inverso._types import Seed
from inverso.errors import InversoError, RangeWarning
from inverso.methods import Method, default_for, stages_of
from inverso.operators import LinearOperator
from inverso.operators._plans import real_dtype
from inverso.priors import Denoiser, LatentPrior
from inverso.priors.base import AnyPrior
from inverso.problem import Report, StageFailure
from inverso.reconstruction import Reconstruction
from inverso.stages import Average, InterruptedStage, NonFiniteLossError, Problem, Stage, State
from inverso.stages.base import check_needs

_Network = TypeVar("_Network", bound=nn.Module)


def solve(
    y: Tensor,
    A: LinearOperator | None = None,
    prior: AnyPrior | None = None,
    method: Method | None = None,
    *,
    restorer: nn.Module | None = None,
    noise: float = 0.0,
    schedule: str = "default",
    starts: int = 1,
    seed: Seed = 0,
    progress: bool | Report = True,
) -> Reconstruction:
    """Reconstruct images x from measurements `y = A x + e`.

    Works on the device and in the precision of y. The prior is copied and not changed, and every image of a batch gets
    the same answer as alone. Torch's global random state is seeded during the call and restored afterwards, so calls in
    several threads of one process would disturb each other if a network draws random numbers as it runs.

    Args:
        y: Measurements of n images, `(n, ...)` as `A.measure(x)` gives them.
        A: The operator that measured them; not needed by `method="ff"`.
        prior: A generative prior, a denoiser, or the pair `(generative prior, denoiser)`. A generative prior alone
            brings the denoiser that its card names. Not needed by methods such as "pinv".
        method: Names from `inverso.methods.TABLE` joined by "+", a stage, or a list of stages. By default the best fast
            method for the given parts: "encoder+bp+pnp" for a generative prior with an encoder and a denoiser, such as
            "faces-64"; "csgm+bp+pnp" for one without an encoder, or with an operator that encoders are not trained
            for, such as a painted mask; "ia+bp" without encoder and denoiser; "pnp" for a denoiser, "ff+pnp" or
            "ff+bp" for a restorer with or without a denoiser, "tv" for an operator alone. The result has it as
            `.method`.
        restorer: A network from degraded to clean images, for "ff".
        noise: Standard deviation of the noise in the image's unit (`10/255`, not `10`). It decides when optimization
            stops and how far back-projection goes.
        schedule: "default" (fast), or "iagan": the steps and restarts of Abu Hussein et al. 2020
            (arXiv:1906.05284; about fifty times as many).
        starts: Number of runs, each from other latents. The results are averaged, and their standard deviation is
            `.uncertainty`. Five starts take five times as long, and are about 1 dB better for methods that search from
            random latents ("ia+bp"). An encoder's estimate is the same each time: with several starts the default is
            therefore "csgm+bp+pnp" where it is "encoder+bp+pnp" with one, which may be worse than a single start.
        seed: Seed of the starting latents.
        progress: Whether to show a progress bar on standard error; or a function that is called after each step with
            the stage's name, the step, the number of steps and the loss.

    Returns:
        The reconstruction: image, latent, records of all stages, and the data misfit.

    Raises:
        TypeError: An argument has the wrong type (an integer y, half precision, an operator that is none).
        ValueError: An argument has the wrong value: y is not finite or not what A measures of the prior's images, the
            noise is negative, a method or schedule is unknown, a part that a stage needs is missing, or A is not
            linear.
        NonFiniteLossError: A loss turned NaN or infinite; the best answer so far is attached as `.reconstruction`.
        InterruptedStage: Ctrl-C; a KeyboardInterrupt with the best answer so far attached as `.reconstruction`.

    Warns:
        RangeWarning: The values of y suggest images in [-1, 1], or the noise is too large for images in [0, 1].
        WorseThanInputWarning: The inverse of A amplified errors of y, or a sample of `dps` hardly explains y.

    Example:
        >>> import torch, inverso
        >>> from inverso.operators import RandomMask
        >>> from inverso.priors import DCGAN
        >>> prior, A = DCGAN(16, width=8, depth=2), RandomMask(0.5)
        >>> y = A.measure(prior(prior.sample_latent(1, seed=7)).detach())
        >>> answer = inverso.solve(y, A, prior, "csgm+bp", progress=False)
        >>> answer.image.shape, [stage.name for stage in answer.stages]
        (torch.Size([1, 3, 16, 16]), ['csgm', 'bp'])
    """
    check_measurement(y)
    level = check_non_negative(noise, name="noise")
    number = as_seed(seed)
    count = check_count(starts, name="starts")
    if not (isinstance(progress, bool) or callable(progress)):
        msg = f"progress must be True, False or a function, got {progress!r}"
        raise TypeError(msg)
    latent_prior, denoiser = split_prior(prior)
    check_parts(A, restorer)
    given = Problem(y, A, latent_prior, denoiser, restorer, noise=level, seed=number)
    chosen = default_for(given, starts=count) if method is None else method
    stages = stages_of(chosen, schedule=schedule)
    called = chosen.replace(" ", "") if isinstance(chosen, str) else "+".join(stage.name for stage in stages)
    if count > 1:
        stages = (Average(stages, count),)
    check_needs(stages, given.has)
    check_y(given)
    # A caller's inference mode would forbid gradients and a caller's autocast round them, so the work happens outside
    # of both, on copies that were born outside.
    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        torch.autocast(y.device.type, enabled=False),
        fork_rng(number, device=y.device),
        _warned_once(level),
    ):
        own = y.detach().clone()
        problem = replace(
            given,
            y=own,
            prior=frozen_copy(latent_prior, own),
            denoiser=frozen_copy(denoiser, own),
            restorer=frozen_copy(restorer, own),
        )
        return _run(problem, stages, called, progress=progress)


def _run(problem: Problem, stages: Sequence[Stage], method: str, *, progress: bool | Report) -> Reconstruction:
    state = State()
    with _Bars(shown=progress is True) as bars:
        reported = replace(problem, report=progress if callable(progress) else bars.report)
        try:
            for stage in stages:
                state = check_state(stage.name, stage(reported, state), problem)
        except (NonFiniteLossError, InterruptedStage) as stop:
            stop.reconstruction = Reconstruction.from_state(problem, stop.failure.state, method)
            raise
        except KeyboardInterrupt as stop:
            interrupted = InterruptedStage(StageFailure(stage.name, 0, float("nan"), state))
            interrupted.reconstruction = Reconstruction.from_state(problem, state, method)
            raise interrupted from stop
    answer = Reconstruction.from_state(problem, state, method)
    if answer is None:
        msg = f"the stages {', '.join(stage.name for stage in stages)} made no image"
        raise InversoError(msg)
    warn_if_blown_up(problem, answer.image, method)
    return answer


@contextmanager
def _warned_once(noise: float) -> Iterator[None]:
    """Ignore what denoisers say about a sigma above 1 where `check_y` has said it about the noise."""
    if noise <= 1:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="sigma=.* is more than the whole range", category=RangeWarning)
        yield


class _Bars:
    """One progress bar per iterative stage, on standard error."""

    def __init__(self, *, shown: bool) -> None:
        self.shown = shown
        self.bar: tqdm[NoReturn] | None = None
        self.name = ""

    def report(self, name: str, step: int, steps: int, loss: float) -> None:
        if not self.shown:
            return
        if self.bar is None or self.name != name:
            self._close()
            self.bar, self.name = tqdm(total=steps, desc=name, leave=False), name
        self.bar.update(step - self.bar.n)
        self.bar.set_postfix(loss=f"{loss:.3g}", refresh=False)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()


def frozen_copy(network: _Network | None, like: Tensor) -> _Network | None:
    """Copy a network to the device and precision of measurements, in evaluation mode and without gradients."""
    if network is None:
        return None
    dtype = real_dtype(like.dtype)

    def convert(value: Tensor) -> Tensor:
        if value.is_complex():
            return value.to(like.device, dtype.to_complex())
        return value.to(like.device, dtype) if value.is_floating_point() else value.to(like.device)

    # What hooks compute from parameters, as weight_norm does, has a history and cannot be copied with it.
    computed = (v for module in network.modules() for v in vars(module).values() if isinstance(v, Tensor))
    detached = {id(value): value.detach().clone() for value in computed if not value.is_leaf}
    # Module.to takes complex numbers for real ones.
    copied: _Network = copy.deepcopy(network, detached)
    copied._apply(convert)  # type: ignore[no-untyped-call]
    return copied.eval().requires_grad_(requires_grad=False)


def split_prior(prior: object) -> tuple[LatentPrior | None, Denoiser | None]:
    """Split the argument `prior=` into the generative prior and the denoiser; either may be None.

    Raises:
        TypeError: It is neither a generative prior, nor a denoiser, nor the pair `(generative prior, denoiser)`.
    """
    if prior is None:
        return None, None
    if isinstance(prior, Denoiser):
        return None, prior
    if isinstance(prior, LatentPrior):
        return prior, None
    if (
        isinstance(prior, tuple)
        and len(prior) == 2
        and isinstance(prior[0], LatentPrior)
        and isinstance(prior[1], Denoiser)
    ):
        return prior
    if isinstance(prior, str):
        msg = f"prior must be a network, got the string {prior!r}: load it first, prior=inverso.priors.load({prior!r})"
        raise TypeError(msg)
    names = ", ".join(type(each).__name__ for each in (prior if isinstance(prior, tuple) else (prior,)))
    msg = (
        "prior must be a LatentPrior, a Denoiser or the pair (latent prior, denoiser) of inverso.priors, got "
        f"{f'({names})' if isinstance(prior, tuple) else names}: WrappedPrior(network, latent_shape) makes a prior of "
        "any network that maps latents to images, WrappedDenoiser(function, ...) of any that removes noise"
    )
    raise TypeError(msg)
