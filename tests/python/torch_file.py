"""Writes PyTorch files as torch.save does, without torch: CPython's own pickler with classes of torch's names.

    torch_file.py folder

One file for each case: state.pt, wrapped.pt, system.pt (calls os.system), whole.pt (an unknown class), and so on.
"""

import argparse
import collections
import io
import os
import pickle
import struct
import sys
import types
import zipfile


def symbol(module: str, name: str, **members):
    """A class or function that is pickled under torch's name, found there again by the pickler's check."""
    parent = sys.modules.setdefault(module, types.ModuleType(module))
    made = type(name, (), members)
    made.__module__, made.__qualname__ = module, name
    setattr(parent, name, made)
    return made


STORAGES = {
    name: symbol("torch", name)
    for name in ("FloatStorage", "HalfStorage", "BFloat16Storage", "LongStorage", "BoolStorage", "ByteStorage",
                 "ComplexFloatStorage")
}
FORMATS = {"FloatStorage": "<f4", "LongStorage": "<q8", "BoolStorage": "?1", "ByteStorage": "B1",
           "HalfStorage": "<e2", "BFloat16Storage": "<H2", "ComplexFloatStorage": "<d8"}
REBUILD = symbol("torch._utils", "_rebuild_tensor_v2")
REBUILD_PARAMETER = symbol("torch._utils", "_rebuild_parameter")
REBUILD_SPARSE = symbol("torch._utils", "_rebuild_sparse_tensor")
SIZE = symbol("torch", "Size")
MODEL = symbol("invented", "Model")


class Storage:
    def __init__(self, kind: str, numbers: list, claimed: int | None = None):
        self.kind, self.claimed = kind, claimed
        code, width = FORMATS[kind][:-1], int(FORMATS[kind][-1])
        self.data = b"".join(struct.pack(code, it) for it in numbers)
        self.length = len(self.data) // width


class Call:
    """Pickled as a call of a symbol."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce_ex__(self, _protocol):
        return self.function, self.arguments


def tensor(storage: Storage, offset: int, shape: tuple, strides: tuple) -> Call:
    return Call(REBUILD, storage, offset, shape, strides, False, collections.OrderedDict())


def save(path: str, value, protocol: int = 2, compression: int = zipfile.ZIP_STORED, byteorder: str = "little") -> None:
    stored: list[Storage] = []

    class Pickler(pickle._Pickler):
        def persistent_id(self, it):
            if not isinstance(it, Storage):
                return None
            if it not in stored:
                stored.append(it)
            length = it.length if it.claimed is None else it.claimed
            return "storage", STORAGES[it.kind], str(stored.index(it)), "cpu", length

        # What torch gives is no class but called all the same.
        def save_reduce(self, func, args, state=None, *more, obj=None, **named):
            if isinstance(func, type) and func.__module__.startswith("torch"):
                self.save(func)
                self.save(args)
                self.write(pickle.REDUCE)
                if obj is not None:
                    self.memoize(obj)
            else:
                super().save_reduce(func, args, state, *more, obj=obj, **named)

    written = io.BytesIO()
    Pickler(written, protocol).dump(value)
    prefix = os.path.splitext(os.path.basename(path))[0]
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{prefix}/data.pkl", written.getvalue())
        archive.writestr(f"{prefix}/byteorder", byteorder)
        for index, storage in enumerate(stored):
            # 64-bit sizes in the local header, as torch writes them.
            with archive.open(f"{prefix}/data/{index}", "w", force_zip64=True) as entry:
                entry.write(storage.data)
        archive.writestr(f"{prefix}/version", "3\n")


def state() -> collections.OrderedDict:
    shared = Storage("FloatStorage", [0.5 * it for it in range(12)])
    half = Storage("HalfStorage", [1.0, -2.5])
    brain = Storage("BFloat16Storage", [0x3F80, 0xC000])
    weights = collections.OrderedDict()
    weights["whole"] = tensor(shared, 0, (3, 4), (4, 1))
    weights["row"] = tensor(shared, 4, (4,), (1,))
    weights["transposed"] = tensor(shared, 0, (4, 3), (1, 4))
    weights["column"] = tensor(shared, 1, (3, 1), (4, 1))
    weights["parameter"] = Call(REBUILD_PARAMETER, tensor(half, 0, (2,), (1,)), True, collections.OrderedDict())
    weights["brain"] = tensor(brain, 0, (2, 1), (1, 1))
    weights["ids"] = tensor(Storage("LongStorage", [3, -1]), 0, (2,), (1,))
    weights["flags"] = tensor(Storage("BoolStorage", [True, False]), 0, (2,), (1,))
    weights["scalar"] = tensor(Storage("FloatStorage", [7.0]), 0, (), ())
    weights["empty"] = tensor(Storage("FloatStorage", []), 0, (0, 5), (5, 1))
    weights["sized"] = Call(REBUILD, shared, 0, Call(SIZE, (2, 2)), (4, 1), False, collections.OrderedDict())
    weights._metadata = collections.OrderedDict([("", {"version": 1})])
    return weights


def wrapped() -> dict:
    exponent = tensor(Storage("FloatStorage", [1.0, 2.0]), 0, (2,), (1,))
    return {
        "module": {"layer.weight": exponent, "layers": [exponent]},
        "epoch": 3,
        "loss": 0.25,
        "large": 1 << 80,
        "done": False,
        "nothing": None,
        "args": argparse.Namespace(rate=1e-4, names=["a", "b"], seen={1, 2}),
        "optimizer": {"state": {0: {"exp_avg": exponent}}},
        "bytes": b"\x00\xff",
        ("a", "tuple"): exponent,
    }


class System:
    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def one(storage: Storage, offset: int, shape: tuple, strides: tuple) -> dict:
    return {"bad": tensor(storage, offset, shape, strides)}


def main() -> None:
    folder = sys.argv[1]
    four = [1.0, 2.0, 3.0, 4.0]

    def at(name: str) -> str:
        return os.path.join(folder, name)

    for protocol in (2, 3, 4, 5):
        save(at(f"state{protocol}.pt"), state(), protocol)
        save(at(f"wrapped{protocol}.pt"), wrapped(), protocol)
    good = tensor(Storage("FloatStorage", four), 0, (4,), (1,))
    save(at("small.pt"), {"w": tensor(Storage("FloatStorage", four), 0, (2, 2), (1, 2))})
    save(at("system.pt"), {"good": good, "evil": System("touch " + at("it-ran"))})
    save(at("whole.pt"), MODEL())
    save(at("big.pt"), {"good": good}, byteorder="big")
    save(at("packed.pt"), {"good": good}, compression=zipfile.ZIP_DEFLATED)
    save(at("sparse.pt"), {"bad": Call(REBUILD_SPARSE, 0, ())})
    save(at("complex.pt"), one(Storage("ComplexFloatStorage", four), 0, (4,), (1,)))
    save(at("beyond.pt"), one(Storage("FloatStorage", four), 1, (4,), (1,)))
    save(at("stretched.pt"), one(Storage("FloatStorage", four), 0, (1 << 40,), (0,)))
    save(at("absurd.pt"), one(Storage("FloatStorage", four), 0, (1 << 62, 1 << 62), (1, 1)))
    save(at("negative.pt"), one(Storage("FloatStorage", four), 0, (4,), (-1,)))
    save(at("ranks.pt"), one(Storage("FloatStorage", four), 0, (1,) * 17, (1,) * 17))
    save(at("claims.pt"), one(Storage("FloatStorage", four, 1 << 61), 0, (4,), (1,)))
    nested = good
    for _ in range(40):
        nested = {"a": nested}
    save(at("nested.pt"), nested)
    laughs: object = [good]
    for _ in range(30):
        laughs = [laughs, laughs]
    save(at("laughs.pt"), laughs)
    cycle: dict = {"good": good}
    cycle["self"] = cycle
    save(at("cycle.pt"), cycle)
    save(at("twice.pt"), {"a": {"b": good}, "a.b": good})
    with open(at("legacy.pt"), "wb") as file:
        pickle.dump(0x1950A86A20F9469CFC6C, file, protocol=2)


if __name__ == "__main__":
    main()
