"""The tab to try operators and priors: a photo, its measurement, and the result of each stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr

from inverso import priors
from inverso._checks import check_choice
from inverso.images.io import PHOTOS
from inverso.jobs import Job
from inverso.jobs._desk import Desk
from inverso.jobs._lesson import Lesson
from inverso.methods import best_for
from inverso.operators.spec import known_texts, parse_operator
from inverso.problem import Need
from inverso.web._commands import solve_command
from inverso.web._visits import Visit, Visits
from inverso.web._watching import watched
from inverso.web._words import ended, lines, status

Updates: TypeAlias = dict[Any, Any]

MINE = "my photo, from the other tab"
NO_PRIOR = "none"
BEST = "the best for these"
METHODS = (
    BEST, "pinv", "zero-filled", "interpolation", "tv", "csgm+bp", "ia+bp", "csgm+bp+pnp", "encoder+bp+pnp", "style+bp",
    "pnp", "ddnm", "dps", "dip+bp",
)  # fmt: skip
SIZES = (64, 96, 128, 192)


def offered_priors() -> list[str]:
    """List the priors that come with inverso and need no download."""
    return [card.name for card in priors.available() if card.url is None]


def explain(name: str) -> str:
    """Describe an operator and its arguments."""
    entry = known_texts()[name]
    arguments = "; ".join(f"{key}: {parameter.expected}" for key, parameter in entry.parameters.items())
    return f"{name}: {entry.what}." + (f" Arguments: {arguments}." if arguments else "")


@dataclass(frozen=True, eq=False)
class LearnTab:
    """The tab's components and their event handlers."""

    work: Desk
    visits: Visits
    photo: gr.Dropdown
    size: gr.Radio
    operator: gr.Dropdown
    spec: gr.Textbox
    noise: gr.Slider
    prior: gr.Dropdown
    method: gr.Dropdown
    seed: gr.Number
    run_button: gr.Button
    cancel_button: gr.Button
    say: gr.HTML
    pictures: gr.Gallery
    details: gr.HTML
    command: gr.Textbox
    download: gr.DownloadButton

    @classmethod
    def build(cls, *, work: Desk, visits: Visits) -> LearnTab:
        """Make the tab's components and connect them."""
        gr.Markdown(
            "A photo x is measured by an operator, `y = A x + noise`; then each stage of a method takes one step back "
            "towards x. Choose, and look at what y has lost, what its pseudo-inverse gives, and what a prior adds.",
            elem_id="lesson",
        )
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                photo = gr.Dropdown([*PHOTOS, MINE], value="astronaut", label="Photo x", elem_id="learn-photo")
                size = gr.Radio(list(SIZES), value=64, label="Side in pixels, where the prior does not say")
                operator = gr.Dropdown(
                    [(f"{name}: {text.what}", name) for name, text in known_texts().items()],
                    value="fft", label="Operator A", elem_id="learn-operator",
                )  # fmt: skip
                spec = gr.Textbox(
                    "fft:0.3", label="A as text", info=explain("fft") + " A@B applies B first.", elem_id="learn-spec"
                )
                noise = gr.Slider(0, 0.2, value=0, step=0.01, label="Noise of y, of 1 for white", elem_id="learn-noise")
                prior = gr.Dropdown(
                    [*offered_priors(), NO_PRIOR], value="faces-64", label="Prior", elem_id="learn-prior"
                )
                method = gr.Dropdown(
                    list(METHODS), value="csgm+bp", label="Method", allow_custom_value=True, elem_id="learn-method",
                    info="Names of stages joined by +",
                )  # fmt: skip
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=2**31, elem_id="learn-seed")
                with gr.Row():
                    run = gr.Button("Reconstruct", variant="primary", elem_id="learn-run")
                    cancel = gr.Button("Cancel", interactive=False, elem_id="learn-cancel")
                say = gr.HTML(elem_id="learn-say")
            with gr.Column(scale=3, min_width=320):
                pictures = gr.Gallery(
                    label="Stage by stage", columns=3, height="auto", object_fit="contain", interactive=False,
                    buttons=["fullscreen"], visible=False, elem_id="learn-pictures",
                )  # fmt: skip
                details = gr.HTML(elem_id="learn-details")
                command = gr.Textbox(
                    label="The same on the command line",
                    interactive=False,
                    buttons=["copy"],
                    visible=False,
                    elem_id="learn-command",
                )
                download = gr.DownloadButton("Download x for it", visible=False, elem_id="learn-download")
        tab = cls(
            work, visits, photo, size, operator, spec, noise, prior, method, seed, run, cancel, say, pictures, details,
            command, download,
        )  # fmt: skip
        tab._connect()
        return tab

    def _connect(self) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
        self.operator.input(self._describe, [self.operator], [self.spec], **quiet)
        asked = [self.photo, self.size, self.spec, self.noise, self.prior, self.method, self.seed]
        answered = [
            self.run_button, self.cancel_button, self.say, self.pictures, self.details, self.command, self.download
        ]  # fmt: skip
        self.run_button.click(self.run, asked, answered, **quiet)
        self.cancel_button.click(self.cancel, [], [], queue=False, **quiet)

    @staticmethod
    def _describe(name: str) -> Any:  # noqa: ANN401 - what Gradio calls an update
        return gr.update(value=known_texts()[name].example, info=explain(name) + " A@B applies B first.")

    def cancel(self, request: gr.Request) -> None:
        """Stop the visitor's running task."""
        self.visits.of(request.session_hash).cancel()

    def run(
        self,
        photo: str,
        size: int,
        spec: str,
        noise: float,
        prior: str,
        method: str,
        seed: float,
        request: gr.Request,
    ) -> Iterator[Updates]:
        """Reconstruct, and show the result of each stage as it comes."""
        try:
            visit = self.visits.of(request.session_hash)
            lesson = self._lesson(
                visit, photo, size, _job(spec, noise, prior, method, seed, size=size if photo == MINE else None)
            )
            running = visit.begin(self.work, lesson)
            yield {
                self.run_button: gr.update(interactive=False),
                self.cancel_button: gr.update(interactive=True),
                self.pictures: gr.update(value=[], visible=False),
                self.details: "",
                self.command: gr.update(visible=False),
                self.download: gr.update(visible=False),
            }
            shown = 0
            for said in watched(running, self.work, "Reconstructing"):
                there = running.told().get("pictures", [])
                update: Updates = {self.say: said}
                if len(there) > shown:
                    shown = len(there)
                    update[self.pictures] = gr.update(value=_gallery(lesson.folder, there), visible=True)
                yield update
            yield self._answer(lesson, running.result(), photo=photo, name=visit.name, suffix=visit.seen.get("suffix"))
        except Exception as error:
            yield {
                self.run_button: gr.update(interactive=True),
                self.cancel_button: gr.update(interactive=False),
                self.say: ended(error),
            }

    def _lesson(self, visit: Visit, photo: str, size: int, job: Job) -> Lesson:
        if photo == MINE and visit.source is None:
            msg = "there is no uploaded photo yet: upload one in the other tab, or choose a free one"
            raise ValueError(msg)
        if photo != MINE and photo not in PHOTOS:
            msg = f"there is no photo {photo!r}; known: {', '.join(PHOTOS)}"
            raise ValueError(msg)
        check_choice(size, SIZES, name="the side")
        source = visit.source if photo == MINE and visit.source is not None else photo
        return Lesson(job=job, photo=source, folder=visit.new_folder("lesson"), size=size)

    def _answer(self, lesson: Lesson, done: Mapping[str, Any], *, photo: str, name: str, suffix: str | None) -> Updates:
        free = photo != MINE
        file = lesson.name if free else f"{name}{suffix or '.png'}"
        stages = [
            f"{each['name']}: {each['seconds']:g} s" + (f"; {each['note']}" if each["note"] else "")
            for each in done["pictures"]
            if "seconds" in each
        ]
        return {
            self.run_button: gr.update(interactive=True),
            self.cancel_button: gr.update(interactive=False),
            self.say: status(f"Done: {done['method']}."),
            self.pictures: gr.update(value=_gallery(lesson.folder, done["pictures"]), visible=True),
            self.details: lines(stages),
            self.command: gr.update(value=solve_command(file, lesson.job), visible=True),
            self.download: gr.update(value=str(lesson.folder / file) if free else None, visible=free),
        }


def _job(spec: str, noise: float, prior: str, method: str, seed: float, *, size: int | None) -> Job:
    """Make the job, from known names only; `size` is that of a photo whose central square is cropped."""
    operator = parse_operator(spec)
    if operator.files:
        msg = f"operator {spec!r} names a file, and only `inverso solve` reads files"
        raise ValueError(msg)
    check_choice(prior, (*offered_priors(), NO_PRIOR), name="the prior")
    chosen = None if method == BEST else method.replace(" ", "")
    if prior == NO_PRIOR:
        return Job(
            operator=str(operator),
            # `inverso solve` takes a prior where no method says that it needs none.
            method=chosen or best_for(frozenset({Need.OPERATOR})),
            noise=noise,
            seed=int(seed or 0),
            size=size,
            simulate=True,
        )
    return Job(
        operator=str(operator),
        prior=prior,
        method=chosen,
        size=size if priors.card(prior).image_shape is None else None,
        noise=noise,
        seed=int(seed or 0),
        simulate=True,
    )


def _gallery(folder: Path, pictures: list[Mapping[str, Any]]) -> list[tuple[str, str]]:
    def caption(each: Mapping[str, Any]) -> str:
        return str(each["name"]) + ("" if each["psnr"] is None else f", {each['psnr']:.1f} dB")

    return [(str(folder / each["file"]), caption(each)) for each in pictures]
