"""The tab to restore a photo: upload, mark damage or choose settings, compare, download."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import gradio as gr
import numpy as np

from inverso.images.marks import write_mask
from inverso.jobs._desk import Desk
from inverso.jobs._orders import Look, RestoreOne, Spoil
from inverso.repair import Repair
from inverso.web import _inputs
from inverso.web._commands import restore_command
from inverso.web._look import SHOW_RESULTS, reading
from inverso.web._server import Settings
from inverso.web._visits import BUSY, Visit, Visits
from inverso.web._watching import watched
from inverso.web._words import ended, lines, plain_name, size_of, status

Updates: TypeAlias = dict[Any, Any]
_Take: TypeAlias = "Callable[[Visit, Path], str]"
"""Put a visitor's photo into a file, and return its name."""

NOISY, BLURRED, SMALL, OLD = "It is noisy", "It is blurred", "It is too small", "It is an old print"
FADED = "Its colors have faded"
BEGIN = "Bring a photo to begin."
READING = "Reading the photo ..."
HINT = "Paint over what is damaged, or choose what happened, and press Restore"
GRAY_LEVELS = 255
OPAQUE = 255
LIKE_THE_PHOTO = "like the photo"
FORMATS = (LIKE_THE_PHOTO, "PNG", "JPEG", "TIFF", "WebP")
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "WebP": ".webp"}
EXAMPLES = {
    "Scratched": ("coffee", "scratches", []),
    "Noisy": ("cat", "noise", [NOISY]),
    "Blurred": ("rocket", "blur", [BLURRED]),
    "Small": ("astronaut", "small", [SMALL]),
    "Old print": ("astronaut", "print", [OLD]),
}
"""What examples are called: a free photo, how it is spoiled, and what is chosen for it."""


@dataclass(frozen=True, eq=False)
class RestoreTab:
    """The tab's components and their event handlers."""

    settings: Settings
    work: Desk
    looks: Desk
    visits: Visits
    photo: gr.File
    editor: gr.ImageEditor
    mask: gr.File
    happened: gr.CheckboxGroup
    strength: gr.Slider
    blur: gr.Slider
    scale: gr.Radio
    stains: gr.Checkbox
    file_format: gr.Dropdown
    restore_button: gr.Button
    cancel_button: gr.Button
    say: gr.HTML
    results: gr.Group
    compare: gr.ImageSlider
    position: gr.Slider
    download: gr.DownloadButton
    download_mask: gr.DownloadButton
    said: gr.HTML
    command: gr.Textbox

    @classmethod
    def build(cls, settings: Settings, *, work: Desk, looks: Desk, visits: Visits) -> RestoreTab:
        """Make the tab's components and connect them."""
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                photo = _inputs.photo_file("Drop a photo here, or choose one", height=140, elem_id="photo")
                with gr.Row(elem_id="examples"):
                    examples = {name: gr.Button(f"Try: {name.lower()}", size="sm") for name in EXAMPLES}
                editor = _inputs.editor("Paint over what is damaged", elem_id="editor")
                with gr.Accordion("I have a mask as a picture", open=False):
                    mask = _inputs.photo_file(
                        "As large as the photo, white where it is damaged", height=120, elem_id="mask"
                    )
            with gr.Column(scale=2, min_width=320):
                happened = gr.CheckboxGroup(
                    [NOISY, BLURRED, SMALL, OLD, FADED],
                    value=[NOISY],
                    label="What happened to it?",
                    info="What you paint is filled in any case.",
                    elem_id="happened",
                )
                strength = gr.Slider(
                    0, 80, value=0, step=1, label="How noisy, in gray levels of 255",
                    info="0: as found, and nothing where nothing is found", elem_id="strength",
                )  # fmt: skip
                blur = gr.Slider(
                    0, 6, value=0, step=0.1, label="How blurred, in pixels", visible=False, elem_id="blur",
                    info="0: as the photo shows, and nothing where it looks sharp",
                )  # fmt: skip
                scale = gr.Radio([2, 3, 4, 8], value=2, label="Enlarge so many times", visible=False, elem_id="scale")
                stains = gr.Checkbox(
                    value=True, label="Take brown stains off", visible=False, elem_id="stains",
                    info="Not from a print that was colored by hand",
                )  # fmt: skip
                file_format = gr.Dropdown(list(FORMATS), value=LIKE_THE_PHOTO, label="Save as", elem_id="format")
                with gr.Row():
                    restore = gr.Button("Restore", variant="primary", interactive=False, elem_id="restore")
                    cancel = gr.Button("Cancel", interactive=False, elem_id="cancel")
                say = gr.HTML(status(BEGIN), elem_id="say")
        with gr.Column(visible=False, elem_id="results") as results:
            compare = gr.ImageSlider(
                label="Before and after", interactive=False, max_height=640, buttons=["fullscreen"], elem_id="compare"
            )
            position = gr.Slider(0, 100, value=50, step=1, label="Compare: before to after", elem_id="position")
            with gr.Row():
                download = gr.DownloadButton("Download at full size", variant="primary", elem_id="download")
                download_mask = gr.DownloadButton("Download what you painted", visible=False, elem_id="download-mask")
            said = gr.HTML(elem_id="said")
            command = gr.Textbox(
                label="The same on the command line", interactive=False, buttons=["copy"], lines=1, elem_id="command"
            )
        tab = cls(
            settings, work, looks, visits, photo, editor, mask, happened, strength, blur, scale, stains, file_format,
            restore, cancel, say, results, compare, position, download, download_mask, said, command,
        )  # fmt: skip
        tab._connect(examples)
        return tab

    def _connect(self, examples: Mapping[str, gr.Button]) -> None:
        quiet: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
        shown = [self.photo, self.editor, self.mask, self.happened, self.restore_button, self.say, self.results]
        # The browser says this by itself: a busy server may take seconds to begin.
        at_once: dict[str, Any] = {
            "fn": None,
            "js": reading(READING),
            "outputs": [self.restore_button, self.say],
            "api_visibility": "private",
        }
        self.photo.upload(**at_once)
        self.photo.upload(self.bring, [self.photo], shown, **quiet)
        for name, button in examples.items():
            button.click(**at_once)
            button.click(self._example(name), [], shown, **quiet)
        choices = [self.strength, self.blur, self.scale, self.stains]
        self.happened.change(self._show_choices, [self.happened], choices, **quiet)
        asked = [self.editor, self.mask, self.happened, *choices, self.file_format]
        answered = [
            self.restore_button, self.cancel_button, self.say, self.results, self.compare, self.position,
            self.download, self.download_mask, self.said, self.command,
        ]  # fmt: skip
        self.restore_button.click(self.restore, asked, answered, **quiet).then(None, js=SHOW_RESULTS)
        self.cancel_button.click(self.cancel, [], [], queue=False, **quiet)
        self.position.input(
            lambda at: gr.update(slider_position=at),
            [self.position],
            [self.compare],
            trigger_mode="always_last",
            **quiet,
        )

    def bring(self, file: str | None, request: gr.Request) -> Iterator[Updates]:
        """Accept an uploaded photo, and show it."""

        def take(_visit: Visit, source: Path) -> str:
            # Gradio's copy becomes the only one.
            shutil.move(str(file), source)
            return plain_name(str(file))

        if file is None:
            yield {self.say: status(BEGIN)}
        else:
            yield from self._bring(take, request, happened=[NOISY])

    def _example(self, name: str) -> Callable[[gr.Request], Iterator[Updates]]:
        photo, damage, happened = EXAMPLES[name]

        def take(visit: Visit, source: Path) -> str:
            made = source.with_suffix(".png")
            visit.begin(self.looks, Spoil(photo=photo, damage=damage, target=made)).result()
            made.rename(source)
            return f"{photo}-{damage}"

        def bring(request: gr.Request) -> Iterator[Updates]:
            yield from self._bring(take, request, happened=happened)

        return bring

    def _bring(self, take: _Take, request: gr.Request, *, happened: list[str]) -> Iterator[Updates]:
        """Accept a photo and show it; a running task is not affected, and an unreadable one leaves that before it."""
        visit = None
        try:
            visit = self.visits.of(request.session_hash)
            if visit.busy:
                yield {self.photo: None, self.say: status(BUSY, kind="error")}
                return
            yield self._show(visit, take, happened=happened)
        except Exception as error:
            there = visit is not None and visit.source is not None
            yield {self.photo: None, self.restore_button: gr.update(interactive=there), self.say: ended(error)}

    def _show(self, visit: Visit, take: _Take, *, happened: list[str]) -> Updates:
        # The browser may still be fetching the preview before this one.
        folder = visit.new_folder("photo", kept=1)
        try:
            name = take(visit, folder / "photo")
            look = Look(source=folder / "photo", preview=folder / "preview.png", pixels=self.settings.pixels)
            seen = visit.begin(self.looks, look).result()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        visit.name, visit.source, visit.seen = name, look.source, seen
        drawing: dict[str, Any] = {"background": str(look.preview), "layers": [], "composite": None}
        told = [f"{visit.name}: {size_of(*visit.seen['size'])}", *visit.seen["notes"], HINT]
        return {
            self.photo: None,
            self.mask: None,
            self.editor: gr.update(value=drawing, visible=True),
            self.happened: happened,
            self.restore_button: gr.update(interactive=True),
            self.say: status(". ".join(told)),
            self.results: gr.update(visible=False),
        }

    @staticmethod
    def _show_choices(happened: list[str]) -> list[Any]:
        return [gr.update(visible=name in happened) for name in (NOISY, BLURRED, SMALL, OLD)]

    def cancel(self, request: gr.Request) -> None:
        """Stop the visitor's running task."""
        self.visits.of(request.session_hash).cancel()

    def restore(
        self,
        painted: Mapping[str, Any] | None,
        mask: str | None,
        happened: list[str],
        strength: float,
        blur: float,
        scale: int,
        stains: bool,  # noqa: FBT001 - Gradio gives values in order
        file_format: str,
        request: gr.Request,
    ) -> Iterator[Updates]:
        """Restore the photo, show the progress, and show the result."""
        try:
            visit = self.visits.of(request.session_hash)
            repair = Repair(
                scale=scale if SMALL in happened else 1,
                blur=(blur or "auto") if BLURRED in happened else 0.0,
                noise=_noise_to_remove(happened, strength),
                old=OLD in happened,
                color=FADED in happened,
                stains=stains,
            )
            order = self._order(visit, repair, file_format, painted, mask)
            running = visit.begin(self.work, order)
            yield {self.results: gr.update(visible=False)}
            for said in watched(running, self.work, "Restoring"):
                yield {
                    self.restore_button: gr.update(interactive=False),
                    self.cancel_button: gr.update(interactive=True),
                    self.say: said,
                }
            yield self._answer(visit, order, running.result())
        except Exception as error:
            yield {
                self.restore_button: gr.update(interactive=True),
                self.cancel_button: gr.update(interactive=False),
                self.say: ended(error),
            }

    def _order(
        self, visit: Visit, repair: Repair, file_format: str, painted: Mapping[str, Any] | None, mask: str | None
    ) -> RestoreOne:
        if visit.source is None or visit.busy:
            msg = "there is no photo yet: bring one first" if visit.source is None else BUSY
            raise ValueError(msg)
        folder = visit.new_folder("answer")
        suffix = SUFFIXES.get(file_format, visit.seen["suffix"])
        marked = folder / f"{visit.name}-mask.png"
        if mask is not None:
            shutil.copy(mask, marked)
        is_marked = mask is not None or _write_painted(painted, marked, size=tuple(visit.seen["size"]))
        return RestoreOne(
            source=visit.source,
            target=folder / f"{visit.name}-restored{suffix}",
            before=folder / "before.png",
            after=folder / "after.png",
            repair=repair,
            mask=marked if is_marked else None,
            pixels=self.settings.pixels,
        )

    def _answer(self, visit: Visit, order: RestoreOne, report: Mapping[str, Any]) -> Updates:
        width, height = report["size"]
        mask = order.mask
        command = restore_command(
            f"{visit.name}{visit.seen['suffix']}",
            order.target.name,
            order.repair,
            mask=None if mask is None else mask.name,
        )
        return {
            self.restore_button: gr.update(interactive=True),
            self.cancel_button: gr.update(interactive=False),
            self.say: status(f"Done: {width} × {height} pixels."),
            self.results: gr.update(visible=True),
            self.compare: gr.update(value=(str(order.before), str(order.after)), slider_position=50),
            self.position: 50,
            self.download: str(order.target),
            self.download_mask: gr.update(value=None if mask is None else str(mask), visible=mask is not None),
            self.said: lines(report["said"]),
            self.command: command,
        }


def _noise_to_remove(happened: Sequence[str], strength: float) -> float | Literal["auto"]:
    """Return the noise level, "auto" to estimate it: unasked in a blurred photo, where a sharpening amplifies noise."""
    if NOISY in happened:
        return round(strength / GRAY_LEVELS, 4) if strength else "auto"
    return "auto" if BLURRED in happened else 0.0


def _write_painted(painted: Mapping[str, Any] | None, path: Path, *, size: tuple[int, int]) -> bool:
    """Write the strokes as a mask, and return whether there are any.

    Raises:
        ValueError: They cover the whole photo.
    """
    layers = [np.asarray(layer.convert("RGBA"))[..., 3] for layer in (painted or {}).get("layers", [])]
    if not layers:
        return False
    paint = np.maximum.reduce(layers)
    if paint.min() > OPAQUE // 2:
        msg = "your paint covers the whole photo: take some of it off again, for something has to be intact"
        raise ValueError(msg)
    return write_mask(paint, path, size=size)
