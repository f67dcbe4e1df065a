"""Pickles that would run code, use up memory or time, or lie. None gets further than a clear refusal."""

from __future__ import annotations

import copyreg
import io
import os
import pickle
import struct
import tracemalloc
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inverso.priors import load
from inverso.priors._formats.pickled import CALLS, LOAD_STORAGE, PickledModule, is_plain_pickle, load_pickle
from inverso.priors._formats.pickled_tensors import Storage, Storages
from inverso.priors._formats.unpickler import MAX_STEPS, MAX_TEXT, read_pickle
from priors.hostile import MARK
from priors.stylegan2 import plain
from priors.stylegan2.files import Persistent, dumps, generator

START = b"\x80\x04"
COMMAND = f"echo 1 > {MARK}"
MEMORY = 16 << 20


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def data(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def number(value: int) -> bytes:
    return b"\x8a" + bytes([16]) + value.to_bytes(16, "little", signed=True)


def name(module: str, thing: str) -> bytes:
    return f"c{module}\n{thing}\n".encode()


def stacked(module: str, thing: str) -> bytes:
    return text(module) + text(thing) + b"\x93"


def items(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + items(*arguments) + b"R"


def put(index: int) -> bytes:
    return b"r" + struct.pack("<I", index)


def get(index: int) -> bytes:
    return b"j" + struct.pack("<I", index)


def entry(key: str, value: bytes) -> bytes:
    return text(key) + value + b"s"


def whole(*parts: bytes) -> bytes:
    return START + b"".join(parts) + b"."


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refuse(folder: Path, content: bytes, message: str) -> None:
    """Refused with this message through the front door, nothing run, and little memory taken."""
    path = folder / "trap.pkl"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(
            ValueError, match=rf"trap\.pkl (is refused|cannot be used|is not a checkpoint).*{message}"
        ) as caught:
            load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not (folder / MARK).exists()
    assert peak < MEMORY + 3 * len(content)
    assert len(str(caught.value)) < 600 + len(str(path))


# What runs code if it is called, by the names under which pickles have called it.
CALLABLES = {
    "os system": text(COMMAND),
    "posix system": text(COMMAND),
    "nt system": text(COMMAND),
    "subprocess Popen": text(COMMAND),
    "subprocess check_output": text(COMMAND),
    "builtins eval": text(f"open({MARK!r}, 'w').close()"),
    "builtins exec": text(f"open({MARK!r}, 'w').close()"),
    "__builtin__ eval": text(f"open({MARK!r}, 'w').close()"),
    "builtins getattr": text("x") + text("__class__"),
    "builtins __import__": text("os"),
    "builtins open": text(MARK) + text("w"),
    "builtins type": text("x"),
    "importlib import_module": text("os"),
    "operator attrgetter": text("system"),
    "functools partial": text("x"),
    "types FunctionType": text("x"),
    "types CodeType": text("x"),
    "marshal loads": data(b"x"),
    "pickle loads": data(pickle.dumps(0)),
    "runpy run_path": text("x.py"),
    "shutil rmtree": text("."),
    "pty spawn": text("sh"),
    "copyreg _reconstructor": text("x"),
    "copyreg __newobj__": text("x"),
    "torch load": text("x.pt"),
    "torch.hub load": text("x/y"),
    "torch.jit.unsupported_tensor_ops execWrapper": text("x"),
    "torch._utils _rebuild_device_tensor_from_numpy": text("x"),
    "torch._utils _rebuild_parameter_with_state": text("x"),
    "torch._tensor _rebuild_from_type_v2": text("x"),
    "numpy load": text("x.npy"),
    "numpy.testing._private.utils runstring": text("x") + b"}",
    "dnnlib.util get_obj_by_name": text("os.system"),
    "dnnlib.util call_func_by_name": text("os.system"),
    "torch_utils.persistence _module_to_src_dict": text("x"),
    "argparse Namespace": text("x"),
    "collections defaultdict": text("x"),
}


class TestCode:
    @pytest.mark.parametrize("function", CALLABLES)
    @pytest.mark.parametrize("spell", [name, stacked])
    def test_calls_of_what_is_not_on_the_list(self, folder, function, spell):
        module, thing = function.split()
        content = whole(call(spell(module, thing), CALLABLES[function]))
        refuse(folder, content, rf"it uses {module}\.{thing}, and calling that could run code")

    @pytest.mark.parametrize("function", ["os system", "posix system", "builtins eval", "builtins exec"])
    def test_some_of_them_do_run_when_read_carelessly(self, folder, function):
        pickle.loads(whole(call(name(*function.split()), CALLABLES[function])))
        assert (folder / MARK).exists()

    @pytest.mark.parametrize(
        "around",
        [
            lambda bad: call(name("collections", "OrderedDict"), bad),
            lambda bad: call(name("torch._utils", "_rebuild_parameter"), bad, b"\x89", b"}"),
            lambda bad: call(name("torch_utils.persistence", "_reconstruct_persistent_obj"), bad),
            lambda bad: b"}" + entry("G_ema", bad),
            lambda bad: b"]" + bad + b"a",
            lambda bad: call(name("numpy", "dtype"), text("f8"), b"\x89", b"\x88") + bad + b"b",
        ],
        ids=["arguments", "parameter", "module", "entry", "list", "state"],
    )
    def test_calls_inside_of_what_is_allowed(self, folder, around):
        bad = call(name("os", "system"), text(COMMAND))
        refuse(folder, whole(around(bad)), r"it uses os\.system")

    def test_the_source_that_a_module_carries(self, folder):
        state = plain.random_state([2], z_dim=2, w_dim=2, layers=1)
        module = generator(state)
        module.attributes["module_src"] = f"open({MARK!r}, 'w')"
        (folder / "fine.pkl").write_bytes(dumps({"G_ema": module}))
        assert load(folder / "fine.pkl").image_shape == (3, 4, 4)
        assert not (folder / MARK).exists()

    @pytest.mark.parametrize(
        ("module", "thing"),
        [
            ("torch", "_utils._rebuild_tensor_v2"),
            ("torch._utils._rebuild_tensor_v2", "__globals__"),
            ("torch.storage", "_load_from_bytes.__globals__"),
            ("torch.storage", "_load_from_bytes "),
            ("collections", "OrderedDict.__init_subclass__"),
            ("numpy", "dtype.__class__"),
            ("", ""),
            ("os\x1b[2J", "system"),
        ],
    )
    def test_dotted_and_crooked_names(self, folder, module, thing):
        refuse(folder, whole(stacked(module, thing)), "it uses .* could run code")

    def test_names_in_messages_are_printable_and_short(self, folder):
        path = folder / "trap.pkl"
        path.write_bytes(whole(stacked("\x1b[2J\n" * 20, "x" * 3000)))
        with pytest.raises(ValueError, match="is refused") as caught:
            load(path)
        assert str(caught.value).isprintable()

    def test_names_that_are_no_text(self, folder):
        refuse(folder, whole(name("collections", "OrderedDict"), text("x"), b"\x93"), "a name is no text")
        refuse(folder, whole(b"]]\x93"), "a name is no text")

    def test_names_without_end(self, folder):
        refuse(folder, whole(b"c" + b"x" * 5000), "it names something with more than 1000 letters")

    @pytest.mark.parametrize(
        ("instruction", "content"),
        [
            ("INST", b"(" + text(COMMAND) + b"ios\nsystem\n"),
            ("OBJ", b"(" + name("collections", "OrderedDict") + text(COMMAND) + b"o"),
            ("NEWOBJ_EX", name("collections", "OrderedDict") + b")}\x92"),
            ("EXT1", b"\x82\x01"),
            ("EXT2", b"\x83\x01\x00"),
            ("EXT4", b"\x84\x01\x00\x00\x00"),
            ("PERSID", b"P1\n"),
            ("STRING", b"S'x'\n"),
            ("LONG4", b"\x8b\x01\x00\x00\x00\x01"),
            ("FROZENSET", b"(\x91"),
            ("POP", b"NN0"),
            ("DUP", b"N2"),
            ("BYTEARRAY8", b"\x96" + bytes(8)),
            ("NEXT_BUFFER", b"\x97"),
        ],
    )
    def test_instructions_that_no_checkpoint_needs(self, folder, instruction, content):
        refuse(folder, whole(content), f"it holds the instruction {instruction}, which no checkpoint needs")

    def test_unknown_instructions(self, folder):
        refuse(folder, whole(b"\xff"), r"it holds an unknown instruction \(255\)")

    def test_extension_registries_are_not_asked(self, folder, monkeypatch):
        """Python's reader takes what is in the registry's cache without asking anybody."""
        monkeypatch.setitem(copyreg._inverted_registry, 7, ("os", "system"))
        monkeypatch.setitem(copyreg._extension_cache, 7, os.system)
        refuse(folder, whole(call(b"\x82\x07", text(COMMAND))), "it holds the instruction EXT1")

    def test_persistent_ids(self, folder):
        refuse(folder, whole(text("x"), b"Q"), r"it refers to something outside of itself \(a persistent id\)")

    def test_classes_made_without_a_call(self, folder):
        refuse(folder, whole(name("subprocess", "Popen"), items(text(COMMAND)), b"\x81"), r"it uses subprocess\.Popen")

    @pytest.mark.parametrize(
        "target",
        [
            name("torch._utils", "_rebuild_tensor_v2"),
            name("collections", "OrderedDict"),
            call(name("collections", "OrderedDict")),
            b"}",
            b"]",
            text("x"),
        ],
        ids=["function", "class", "OrderedDict", "dict", "list", "text"],
    )
    def test_states_of_what_has_none(self, folder, target):
        state = b"N}" + entry("__defaults__", b"N") + entry("__setstate__", b"N") + b"\x86"
        refuse(folder, whole(target, state, b"b"), "it changes the state of an object that has none")

    @pytest.mark.parametrize("called", [b"}", text("x"), b"N", data(b"x"), call(name("numpy", "dtype"), text("f4"))])
    def test_calls_of_what_is_no_name(self, folder, called):
        refuse(folder, whole(called, b")R"), "it calls what is no name")

    def test_calls_with_what_are_no_arguments(self, folder):
        refuse(folder, whole(name("builtins", "set"), b"]R"), "it calls what is no name, or without arguments")

    @pytest.mark.parametrize(
        ("function", "arguments"),
        [
            ("collections OrderedDict", b"]"),
            ("torch._utils _rebuild_tensor_v2", b""),
            ("torch._utils _rebuild_parameter", text("x")),
            ("torch_utils.persistence _reconstruct_persistent_obj", b"}"),
            ("torch_utils.persistence _reconstruct_persistent_obj", text("x")),
            ("torch.storage _load_from_bytes", text("x")),
            ("builtins set", text("x")),
            ("numpy dtype", b"N"),
            ("numpy ndarray", b")"),
            ("numpy.core.multiarray scalar", text("x") + data(b"x")),
            ("_codecs encode", data(b"x")),
        ],
    )
    def test_allowed_calls_with_other_arguments(self, folder, function, arguments):
        refuse(folder, whole(call(name(*function.split()), arguments)), "at byte")


FLOAT = torch.arange(6, dtype=torch.float32)


def saved(values: torch.Tensor = FLOAT) -> bytes:
    """The bytes inside of a pickled tensor."""
    found = []

    class Reader(pickle.Unpickler):
        def find_class(self, _, thing):
            if thing == "_load_from_bytes":
                return found.append
            return lambda *_: None

    Reader(io.BytesIO(pickle.dumps(values, protocol=3))).load()
    return found[0]


def tensor(
    content: bytes | None = None, offset: bytes = b"K\x00", size: bytes = b"K\x06\x85", stride: bytes = b"K\x01\x85"
) -> bytes:
    storage = call(name("torch.storage", "_load_from_bytes"), data(saved() if content is None else content))
    hooks = call(name("collections", "OrderedDict"))
    return call(name("torch._utils", "_rebuild_tensor_v2"), storage, offset, size, stride, b"\x89", hooks)


class TestTensors:
    def test_an_honest_one_is_read(self):
        record, _ = read_pickle(memoryview(whole(tensor())), _with_storages())
        torch.testing.assert_close(record.make(), FLOAT, atol=0, rtol=0)

    @pytest.mark.parametrize(
        "dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8]
    )
    def test_other_types_are_read(self, dtype):
        values = FLOAT.to(dtype).reshape(2, 3).T
        content = memoryview(pickle.dumps(values, protocol=3))
        record, _ = read_pickle(content, _with_storages())
        torch.testing.assert_close(record.make(), values, atol=0, rtol=0)

    def test_empty_ones_are_read(self):
        record, _ = read_pickle(memoryview(pickle.dumps(torch.zeros(0, 3), protocol=3)), _with_storages())
        assert record.make().shape == (0, 3)

    @pytest.mark.parametrize(
        "lie",
        [
            {"offset": b"K\x01"},
            {"offset": number(2**40)},
            {"size": b"K\x07\x85"},
            {"size": b"K\x02K\x04\x86", "stride": b"K\x01K\x01\x86"},
            {"size": b"K\x02K\x03\x86", "stride": b"K\x03K\x02\x86"},
            {"size": number(2**40) + b"\x85", "stride": b"K\x00\x85"},
            {"size": number(2**40) + number(2**40) + b"\x86", "stride": b"K\x00K\x00\x86"},
        ],
        ids=["offset", "huge offset", "size", "repeats", "stride", "expanded", "expanded beyond 64 bits"],
    )
    def test_views_beyond_the_storage(self, folder, lie):
        refuse(folder, whole(tensor(**lie)), "a tensor claims more than the 6 numbers that its storage holds")

    @pytest.mark.parametrize(
        "lie",
        [
            {"offset": number(-1)},
            {"size": number(-1) + b"\x85"},
            {"stride": number(-1) + b"\x85"},
            {"stride": number(2**70) + b"\x85"},
            {"size": b"\x88\x85"},
            {"size": text("6") + b"\x85"},
            {"size": b"K\x06K\x01\x86"},
            {"offset": b"N"},
        ],
    )
    def test_impossible_views(self, folder, lie):
        refuse(folder, whole(tensor(**lie)), "a tensor has an impossible offset, size or stride")

    @pytest.mark.parametrize("lie", [{"size": b"]"}, {"stride": b"N"}, {"size": items(*[b"K\x01"] * 99)}])
    def test_views_of_other_things(self, folder, lie):
        refuse(folder, whole(tensor(**lie)), "a tensor is made of other than a storage")

    def test_tensors_without_a_storage(self, folder):
        content = call(name("torch._utils", "_rebuild_tensor_v2"), b"]", b"K\x00", b")", b")", b"\x89", b"}")
        refuse(folder, whole(content), "a tensor is made of other than a storage")

    @pytest.mark.parametrize("change", [b"", b"\x00\x00", b"\x00" * 4096])
    def test_storages_with_other_than_the_bytes_they_claim(self, folder, change):
        content = saved() + change if change else saved()[:-1]
        refuse(folder, whole(tensor(content)), "a storage claims more or fewer numbers than the .* bytes it comes with")

    def test_storages_that_claim_all_memory(self, folder):
        honest = saved()
        header, numbers = honest[:-32], honest[-24:]
        counted = header.replace(b"K\x06N", b"\x8a\x06" + (2**40).to_bytes(6, "little") + b"N")
        assert len(counted) > len(header)
        refuse(folder, whole(tensor(counted + struct.pack("<q", 2**40) + numbers)), "a storage claims more or fewer")
        refuse(folder, whole(tensor(header + struct.pack("<q", -6) + numbers)), "a storage claims more or fewer")
        refuse(folder, whole(tensor(header + struct.pack("<q", 7) + numbers)), "a storage claims more or fewer")

    def test_storages_that_hide_a_pickle(self, folder):
        bad = whole(call(name("os", "system"), text(COMMAND)))
        refuse(folder, whole(tensor(bad)), r"it uses os\.system")
        for part in range(1, 5):
            honest = saved()
            stops = [index for index in range(len(honest)) if _ends_a_pickle(honest, index)]
            refuse(folder, whole(tensor(honest[: stops[part - 1]] + bad)), r"it uses os\.system")

    @pytest.mark.parametrize(
        "reference",
        [
            items(text("module"), name("torch", "FloatStorage"), text("0"), text("cpu"), b"K\x06", b"N"),
            items(text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), b"K\x06", text("view")),
            items(text("storage"), text("FloatStorage"), text("0"), text("cpu"), b"K\x06", b"N"),
            items(text("storage"), name("torch", "FloatStorage"), b"N", text("cpu"), b"K\x06", b"N"),
            items(text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), text("6"), b"N"),
            items(text("storage")),
            text("storage"),
        ],
    )
    def test_storages_referred_to_in_other_ways(self, folder, reference):
        refuse(folder, whole(tensor(_forged(reference))), "a storage is referred to in an unknown way")

    def test_storages_of_other_types(self, folder):
        honest = items(text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), b"K\x06", b"N")
        assert read_pickle(memoryview(whole(tensor(_forged(honest)))), _with_storages())
        other = honest.replace(b"FloatStorage", b"QUInt8Storage")
        refuse(folder, whole(tensor(_forged(other))), r"it uses torch\.QUInt8Storage")
        called = call(name("torch", "FloatStorage"), number(2**40))
        refuse(folder, whole(tensor(_forged(called))), "a type of storage is called")

    def test_storages_with_other_keys_or_numbers_of_their_format(self, folder):
        honest = saved()
        refuse(
            folder, whole(tensor(honest.replace(b"M\xe9\x03.", b"M\xea\x03.", 1))), "not in the format of torch.save"
        )
        refuse(folder, whole(tensor(_forged(b"N"))), "not in the format|comes with other than one key|unknown way")

    def test_storages_with_endless_headers(self, folder):
        refuse(folder, whole(tensor(START + b"]" * 200 + b".")), "it has more than 100 instructions")
        refuse(folder, whole(tensor(START + text("x" * 5000) + b".")), "it is cut short")

    def test_each_storage_is_made_once(self):
        """However often a file asks for it, so that a few bytes cannot ask for the same megabytes again and again."""
        storage = call(name("torch.storage", "_load_from_bytes"), data(saved()) + put(0))
        again = call(name("torch.storage", "_load_from_bytes"), get(0))
        (first, second), _ = read_pickle(memoryview(whole(storage, again, b"\x86")), _with_storages())
        assert isinstance(first, Storage)
        assert first is second
        assert first.numbers is second.numbers


def _with_storages():
    return {**CALLS, LOAD_STORAGE: Storages().read}


def _ends_a_pickle(content: bytes, index: int) -> bool:
    """Tell whether the header's next pickle starts here."""
    return index > 0 and content[index : index + 2] == b"\x80\x02" and content[index - 1 : index] == b"."


def _forged(reference: bytes) -> bytes:
    """A storage whose reference is another."""
    start = saved()[: saved().index(b"\x80\x02}")]
    keys = whole(b"]", text("0"), b"a")
    refer = b"" if reference.endswith(b"R") else b"Q"
    return start + whole(b"}") + whole(reference, refer) + keys + struct.pack("<q", 6) + bytes(24)


class TestNumpy:
    @pytest.mark.parametrize("value", [np.float64(0.25), np.float32(-2), np.int64(7), np.uint8(3), np.bool_(True)])
    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    def test_numbers_are_read(self, value, protocol):
        found, _ = read_pickle(memoryview(pickle.dumps(value, protocol=protocol)), CALLS)
        assert found == value.item()
        assert type(found) is type(value.item())

    @pytest.mark.parametrize("protocol", [2, 3, 4])
    def test_arrays_are_let_by(self, protocol):
        content = pickle.dumps({"a": np.arange(6.0).reshape(2, 3)}, protocol=protocol)
        found, _ = read_pickle(memoryview(content), CALLS)
        assert found["a"].state[1] == (2, 3)

    @pytest.mark.parametrize(
        "code", ["O", "O8", "|O", "V8", "S1000000000", "U9", "M8", "c16", "f4,f4", "(999999999,)f8"]
    )
    def test_types_of_other_than_plain_numbers(self, folder, code):
        content = call(name("numpy", "dtype"), text(code), b"\x89", b"\x88")
        refuse(folder, whole(content), "a numpy type is not one of plain numbers")

    def test_arrays_of_objects(self, folder):
        refuse(folder, pickle.dumps(np.array([None, []], dtype=object), protocol=4), "a numpy type is not one of plain")

    @pytest.mark.parametrize(
        "state",
        [
            items(b"K\x03", text("<"), b"N", text("f0") + b"\x85", b"}", b"K\x08", b"K\x01", b"K\x00"),
            items(b"K\x03", text("<"), items(b"N", b"K\x63"), b"N", b"N", b"K\x08", b"K\x01", b"K\x00"),
            items(b"K\x03", text(">"), b"N", b"N", b"N", b"K\x08", b"K\x01", b"K\x00"),
            b"N",
            b")",
        ],
        ids=["fields", "shape", "order", "none", "empty"],
    )
    def test_types_with_fields_shapes_and_foreign_orders(self, folder, state):
        content = whole(call(name("numpy", "dtype"), text("f8"), b"\x89", b"\x88"), state, b"b")
        refuse(folder, content, "a numpy type has fields, a shape or a foreign byte order")

    @pytest.mark.parametrize("length", [0, 7, 9])
    def test_numbers_of_other_sizes(self, folder, length):
        kind = call(name("numpy", "dtype"), text("f8"))
        content = whole(call(name("numpy.core.multiarray", "scalar"), kind, data(bytes(length))))
        refuse(folder, content, "a numpy number has another size than its bytes")

    @pytest.mark.parametrize(
        "shape",
        [number(2**40) + b"\x85", number(2**40) + b"K\x00\x86", number(-1) + b"\x85", text("x") + b"\x85", b"]"],
    )
    def test_arrays_of_other_shapes_than_their_bytes(self, folder, shape):
        kind = call(name("numpy", "dtype"), text("f8"))
        array = call(name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), b"K\x00\x85", data(b"b"))
        content = whole(array, items(b"K\x01", shape, kind, b"\x89", data(bytes(8))), b"b")
        refuse(folder, content, "a numpy array has another shape than its bytes")

    def test_arrays_with_a_list_in_place_of_bytes(self, folder):
        array = call(name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), b"K\x00\x85", data(b"b"))
        kind = call(name("numpy", "dtype"), text("f8"))
        refuse(
            folder, whole(array, items(b"K\x01", b")", kind, b"\x89", b"]"), b"b"), "a numpy array has another shape"
        )
        refuse(folder, whole(array, b")b"), "a numpy array is not one of plain numbers")

    @pytest.mark.parametrize("codec", ["rot13", "zlib", "bz2", "hex", "unicode_escape", "idna", "os", "utf-7"])
    def test_codecs_other_than_that_of_old_pickles(self, folder, codec):
        content = call(name("_codecs", "encode"), text("x"), text(codec))
        refuse(folder, whole(content), "bytes are spelled in another way than as up to 1000 letters of latin1")


class TestMemoryAndTime:
    @pytest.mark.parametrize("code", [b"\x8e", b"\x8d"])
    @pytest.mark.parametrize("length", [2**63, 2**62, 2**40, 1 << 20])
    def test_lengths_beyond_the_end(self, folder, code, length):
        refuse(folder, whole(code + struct.pack("<Q", length)), "it is cut short|more than the .* allowed")

    def test_texts_longer_than_any_source(self, folder):
        refuse(folder, whole(text("x" * (MAX_TEXT + 1))), f"a text has {MAX_TEXT + 1} bytes, more than the {MAX_TEXT}")

    def test_memo_entries_far_apart(self, folder):
        """Python's reader makes a table of all those in between."""
        refuse(folder, whole(b"]", put(2**32 - 1)), "it is a pickle of a list")

    def test_too_many_instructions(self, folder):
        path = folder / "trap.pkl"
        path.write_bytes(START + b"]" * MAX_STEPS)
        with pytest.raises(
            ValueError, match=f"it has more than {MAX_STEPS} instructions, more than any checkpoint needs"
        ):
            load(path)

    def test_containers_deep_inside_of_each_other(self, folder):
        deep = 5000
        refuse(folder, whole(b"]" * deep, b"a" * (deep - 1)), "it is a pickle of a list")
        refuse(folder, whole(b")" + b"\x85" * deep), "it is a pickle of a tuple")
        refuse(folder, whole(b"}" + entry("G_ema", b"]" * deep + b"a" * (deep - 1))), "it is a pickle of a dict")

    def test_the_same_list_again_and_again(self, folder):
        """A billion laughs: 60 lists of two, each twice in the next, would print as 2^60 entries."""
        laughs = b"]" + put(0)
        for index in range(60):
            laughs += b"](" + get(index) * 2 + b"e" + put(index + 1)
        refuse(folder, whole(items(laughs)), "it is a pickle of a tuple")
        state = (
            b"}" + entry("class_name", text("x")) + entry("state", b"}" + entry("_modules", b"}" + entry("a", get(60))))
        )
        module = call(name("torch_utils.persistence", "_reconstruct_persistent_obj"), state)
        content = whole(b"}" + text("laughs") + items(laughs) + b"s" + entry("G_ema", module))
        refuse(folder, content, "a module has no dictionary|in place of a module")

    def test_settings_that_take_forever_to_compare(self, folder):
        def laughs():
            value = []
            for _ in range(60):
                value = [value, value]
            return value

        network = generator(plain.random_state([2, 2], z_dim=2, w_dim=2, layers=1))
        for conv in ("conv0", "conv1"):
            network.child("synthesis").child("b8").child(conv).attributes["conv_clamp"] = laughs()
        refuse(folder, dumps({"G_ema": network}), "its conv_clamp is a list, where a number or None was expected")

    def test_tuples_as_keys(self, folder):
        """Hashing a tuple of tuples hashes what is inside as often as it is reached."""
        key = b")" + put(0)
        for index in range(60):
            key += get(index) + b"\x86" + put(index + 1)
        refuse(folder, whole(b"}", key, b"Ns"), "a key is a tuple, where text was expected")
        refuse(folder, whole(b"\x8f(", b")", b"\x90"), "a key is a tuple, where text was expected")
        refuse(folder, whole(call(name("builtins", "set"), b"])a")), "a key is a tuple, where text was expected")

    @pytest.mark.parametrize(
        ("key", "kind"), [(b"]", "list"), (b"}", "dict"), (b"N", "NoneType"), (number(2**61 - 1), "int")]
    )
    def test_keys_that_cannot_be_hashed_or_collide(self, folder, key, kind):
        refuse(folder, whole(b"}", key, b"Ns"), f"a key is a {kind}, where text was expected")

    def test_large_sets_copied_again_and_again(self, folder):
        entries = b"](" + b"".join(b"M" + struct.pack("<H", i) for i in range(5000)) + b"e" + put(0)
        sets = call(name("builtins", "set"), get(0)) * 1000
        refuse(folder, whole(entries, sets), "a set is made of other than a list of up to 1000 entries")

    def test_large_texts_encoded_again_and_again(self, folder):
        copies = call(name("_codecs", "encode"), get(0), text("latin1")) * 1000
        refuse(folder, whole(text("x" * 100_000), put(0), copies), "up to 1000 letters")

    def test_modules_that_hold_the_same_module_again_and_again(self, folder):
        module = Persistent("Module")
        for _ in range(30):
            module = Persistent("Module", _modules=OrderedDict(a=module, b=module))
        refuse(folder, dumps({"G_ema": module}), "its modules are more than 2000, or lie more than 16 deep")

    def test_modules_wide_and_shared(self, folder):
        module = Persistent("Module")
        for _ in range(8):
            module = Persistent("Module", _modules=OrderedDict({f"m{i}": module for i in range(100)}))
        refuse(folder, dumps({"G_ema": module}), "its modules are more than 2000")

    def test_modules_that_hold_themselves(self, folder):
        state = b"}" + put(0) + entry("_parameters", b"}") + entry("_buffers", b"}") + entry("_modules", b"}" + put(1))
        meta = b"}" + entry("class_name", text("x")) + entry("state", state)
        module = call(name("torch_utils.persistence", "_reconstruct_persistent_obj"), meta) + put(2)
        looped = items(get(1) + text("a") + get(2) + b"s")
        content = whole(b"}" + entry("G_ema", module) + entry("other", looped))
        refuse(folder, content, "lie more than 16 deep in each other")

    @pytest.mark.parametrize("entries", [{f"p{i}": None for i in range(1001)}, {"x" * 201: None}, {1: None}])
    def test_modules_with_impossible_entries(self, folder, entries):
        refuse(
            folder,
            dumps({"G_ema": Persistent("Module", _parameters=entries)}),
            "more than 1000 entries|impossible name",
        )

    def test_tensors_that_share_a_storage_to_swell(self, folder):
        size = items(b"M\xe8\x03")
        storage = call(name("torch.storage", "_load_from_bytes"), data(saved(torch.zeros(1000)))) + put(9)
        again = call(name("torch._utils", "_rebuild_tensor"), get(9), b"K\x00", size, b"K\x01\x85")
        first = call(name("torch._utils", "_rebuild_tensor"), storage, b"K\x00", size, b"K\x01\x85")
        buffers = b"}" + entry("first", first)
        buffers += b"".join(entry(f"b{i}", again) for i in range(900))
        state = b"}" + entry("_parameters", b"}") + entry("_buffers", buffers) + entry("_modules", b"}")
        meta = b"}" + entry("class_name", text("x")) + entry("state", state)
        module = call(name("torch_utils.persistence", "_reconstruct_persistent_obj"), meta)
        refuse(folder, whole(b"}" + entry("G_ema", module)), "its tensors take more memory than the file has bytes")

    @pytest.mark.parametrize("thing", [{"_modules": {"a": []}}, {"_buffers": {"a": 3}}, {"_parameters": {"a": {}}}])
    def test_modules_that_hold_other_things(self, folder, thing):
        refuse(
            folder,
            dumps({"G_ema": Persistent("Module", **thing)}),
            r"a module holds a \w+ in place of a (tensor|module)",
        )

    def test_modules_without_their_dictionaries(self, folder):
        refuse(folder, dumps({"G_ema": Persistent("Module", _buffers=None)}), "a module has no dictionary _buffers")


class TestDamage:
    def test_frames_that_lie_about_their_length(self, folder):
        refuse(folder, whole(b"\x95" + struct.pack("<Q", 2**62), b"N"), "it is cut short, or a frame lies")
        refuse(folder, whole(b"\x95" + struct.pack("<Q", 3), text("hello")), "a frame is shorter than what it holds")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"\x80", "it is cut short"),
            (START, "it is cut short"),
            (b"\x80\x09N.", "its protocol is 9, later than the 5 known"),
            (whole(), "it ends with other than one object"),
            (whole(b"NN"), "it ends with other than one object"),
            (whole(b"(N"), "it ends with other than one object"),
            (whole(b"R"), "it takes from an empty stack"),
            (whole(b"q\x00"), "it takes from an empty stack"),
            (whole(b"h\x07"), "it recalls what it never made"),
            (whole(b"t"), "it asks for a mark that was not set"),
            (whole(b"}(Nu"), "a key comes without a value"),
            (whole(b"}Na"), "it adds to what is no list"),
            (whole(b"](" + text("a") + b"Nu"), "it adds to what is no dict"),
            (whole(b"](N\x90"), "it adds to what is no set"),
            (whole(b"X\x02\x00\x00\x00\xff\xfe"), "can't decode byte 0xff"),
            (whole(b"\x8c\x03\xed\xa0\x80"), "can't decode byte 0xed"),
        ],
    )
    def test_programs_that_make_no_sense(self, folder, content, message):
        refuse(folder, content, message)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "it is empty"),
            (b"<!DOCTYPE html><html>Not found</html>", "it is a web page"),
            (b"\n  <html>Sign in</html>", "it is a web page"),
            (b"just some text", "it is text or of another kind"),
            (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer"),
            (pickle.dumps({"G_ema": 1}, protocol=0), "it is text or of another kind"),
            (bytes(100), "it is text or of another kind"),
        ],
    )
    def test_files_that_are_no_pickles(self, folder, content, message):
        refuse(folder, content, message)

    @pytest.mark.parametrize(
        ("thing", "message"),
        [
            ({"G": 1, "D": 2}, "it is a pickle of a dict with entries 'G', 'D', where NVIDIA's has a dictionary"),
            ({"G_ema": 1}, "it is a pickle of a dict with entries 'G_ema'"),
            ([1, 2], "it is a pickle of a list, where NVIDIA's"),
            ("text", "it is a pickle of a str, where"),
            ({"G_ema": {"weight": torch.zeros(2)}}, "If it holds a state dict, save that with torch.save"),
        ],
    )
    def test_pickles_of_other_things(self, folder, thing, message):
        refuse(folder, pickle.dumps(thing, protocol=4), message)


@pytest.fixture(scope="module")
def network() -> bytes:
    return dumps({"G_ema": generator(plain.random_state([2, 2], z_dim=2, w_dim=2, layers=1))}, protocol=4)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1, exclude_max=True))
def test_files_cut_short_anywhere(network, tmp_path, cut):
    path = tmp_path / "cut.pkl"
    path.write_bytes(network[: int(cut * len(network))])
    with pytest.raises(ValueError, match=r"cut\.pkl"):
        load(path)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_files_with_a_byte_changed_anywhere(network, tmp_path, position, byte):
    path = tmp_path / "changed.pkl"
    content = bytearray(network)
    content[int(position * len(network))] = byte
    path.write_bytes(content)
    try:
        load(path)
    except ValueError as error:
        assert "changed.pkl" in str(error)  # noqa: PT017 - either of two outcomes is right


@settings(max_examples=30)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
        max_leaves=6,
    ),
    st.integers(3, 5),
)
def test_harmless_pickles_are_read_as_python_does(value, protocol):
    found, end = read_pickle(memoryview(content := pickle.dumps(value, protocol=protocol)), CALLS)
    assert found == value
    assert end == len(content)


def test_files_that_start_like_a_pickle_are_told_apart(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(dumps({"G_ema": 1}))
    assert is_plain_pickle(path)
    torch.save({"a": FLOAT}, path, _use_new_zipfile_serialization=False)
    assert not is_plain_pickle(path)
    # The header of safetensors is 0x480 bytes long here.
    path.write_bytes(struct.pack("<Q", 0x480) + b"{}".ljust(0x480))
    assert not is_plain_pickle(path)


def test_modules_are_walked_in_order(tmp_path):
    state = plain.random_state([2, 2], z_dim=2, w_dim=2, layers=1)
    (tmp_path / "a.pkl").write_bytes(dumps(generator(state)))
    module = load_pickle(tmp_path / "a.pkl")
    assert isinstance(module, PickledModule)
    found = module.state_dict(max_bytes=10**6)
    assert set(found) == set(state)
    torch.testing.assert_close({key: found[key] for key in state}, state, atol=0, rtol=0)
