"""A Core ML program as it lies on disk: what goes in and out, its states, its operations and weights as numpy arrays.

Read from the protobuf of the `.mlpackage` (`MIL.proto`, `Model.proto` of coremltools) and its blob file; nothing of the
converter that wrote it is used.

Does not know: what operations compute.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penjing.export.coreml.faults import NotAProgram
from penjing.export.coreml.toolbox import coremltools

Array = NDArray[Any]
Value = Array | str
MAIN = "main"
IN_PACKAGE = "@model_path/"
DTYPES = {
    "BOOL": "bool",
    "FLOAT16": "float16",
    "FLOAT32": "float32",
    "FLOAT64": "float64",
    "INT4": "int8",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT1": "uint8",
    "UINT2": "uint8",
    "UINT3": "uint8",
    "UINT4": "uint8",
    "UINT6": "uint8",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
}
"""MIL's types and those of numpy that hold their values (those of less than 8 bits one to a byte)."""
PACKED = ("INT4", "UINT1", "UINT2", "UINT3", "UINT4", "UINT6")
READERS = {"FLOAT16": "fp16", "FLOAT32": "float"}
FEATURES = {"FLOAT32": "float32", "FLOAT16": "float16", "DOUBLE": "float64", "INT32": "int32", "INT8": "int8"}


@dataclass(frozen=True)
class Feature:
    """What goes in, comes out or is kept: `shape` as (least, most) of each axis."""

    name: str
    dtype: str
    shape: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Operation:
    """One step: `inputs` name what it reads by its parameters, `outputs` what it makes with MIL's type of each.
    `value` is that of a `const`."""

    kind: str
    inputs: Mapping[str, tuple[str, ...]]
    outputs: tuple[tuple[str, str], ...]
    value: Value | None = None


@dataclass(frozen=True)
class Program:
    """`path` is the package's; `version` of the specification; `operations` in the order in which they run."""

    path: Path
    version: int
    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    states: tuple[Feature, ...]
    operations: tuple[Operation, ...]
    metadata: Mapping[str, str]


def read(package: Path) -> Program:
    """The program in the folder `package`. Raises NotAProgram."""
    from google.protobuf.message import DecodeError

    toolbox = coremltools()
    file = _model_file(package)
    spec = toolbox.proto.Model_pb2.Model()
    try:
        spec.ParseFromString(file.read_bytes())
    except (OSError, DecodeError) as error:
        raise NotAProgram(path=str(package), detail=str(error)) from error
    if spec.WhichOneof("Type") != "mlProgram" or MAIN not in spec.mlProgram.functions:
        raise NotAProgram(path=str(package), detail="it holds no ML program")
    function = spec.mlProgram.functions[MAIN]
    block = function.block_specializations[function.opset]
    values = _Values(package, file.parent)
    about = spec.description
    return Program(
        package,
        spec.specificationVersion,
        tuple(_feature(each.name, each.type.multiArrayType) for each in about.input),
        tuple(_feature(each.name, each.type.multiArrayType) for each in about.output),
        tuple(_feature(each.name, each.type.stateType.arrayType) for each in about.state),
        tuple(step for each in block.operations for step in values.operations(each)),
        dict(about.metadata.userDefined),
    )


def _model_file(package: Path) -> Path:
    """The specification's path, from the package's list of its items."""
    try:
        listed = json.loads((package / "Manifest.json").read_bytes())
        item = listed["itemInfoEntries"][listed["rootModelIdentifier"]]["path"]
        file: Path = package / "Data" / item
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotAProgram(path=str(package), detail=f"Manifest.json: {error}") from error
    if not file.resolve().is_relative_to(package.resolve()):
        raise NotAProgram(path=str(package), detail="Manifest.json names a file outside the package")
    return file


def _feature(name: str, found: Any) -> Feature:
    dtype = FEATURES.get(found.ArrayDataType.Name(found.dataType), "") if found.dataType else ""
    if found.WhichOneof("ShapeFlexibility") == "shapeRange":
        shape = tuple((int(each.lowerBound), int(each.upperBound)) for each in found.shapeRange.sizeRanges)
    else:
        shape = tuple((int(each), int(each)) for each in found.shape)
    return Feature(name, dtype, shape)


class _Values:
    """What stands in the program itself or in its blob files, as numpy arrays."""

    def __init__(self, package: Path, root: Path) -> None:
        self.package = package
        self.root = root
        self.types = coremltools().proto.MIL_pb2.DataType
        self.blobs: dict[str, Any] = {}

    def operations(self, found: Any) -> list[Operation]:
        """One of the protobuf, after a `const` for each value that stands in its arguments without a name."""
        steps: list[Operation] = []
        outputs = tuple((each.name, self._dtype(each.type)) for each in found.outputs)
        inputs = {}
        for parameter, argument in found.inputs.items():
            called = []
            for each in argument.arguments:
                if each.WhichOneof("binding") == "name":
                    called.append(each.name)
                else:
                    called.append(f"{outputs[0][0]}/{parameter}/{len(called)}")
                    dtype = self._dtype(each.value.type)
                    steps.append(Operation("const", {}, ((called[-1], dtype),), self.value(each.value)))
            inputs[parameter] = tuple(called)
        value = self.value(found.attributes["val"]) if found.type == "const" else None
        return [*steps, Operation(found.type, inputs, outputs, value)]

    def _dtype(self, found: Any) -> str:
        kind = found.stateType.wrappedType if found.WhichOneof("type") == "stateType" else found
        name: str = self.types.Name(kind.tensorType.dataType)
        return name

    def value(self, found: Any) -> Value:
        """A constant. Raises NotAProgram."""
        dtype = self._dtype(found.type)
        shape = tuple(int(each.constant.size) for each in found.type.tensorType.dimensions)
        if dtype == "STRING":
            return str(found.immediateValue.tensor.strings.values[0])
        if dtype not in DTYPES:
            raise NotAProgram(path=str(self.package), detail=f"a value is of the type {dtype}")
        flat = self._stored(found, dtype) if found.HasField("blobFileValue") else self._immediate(found, dtype)
        if flat.size != np.prod(shape, dtype=np.int64):
            raise NotAProgram(path=str(self.package), detail=f"{flat.size} values for the shape {shape}")
        return flat.reshape(shape)

    def _immediate(self, found: Any, dtype: str) -> Array:
        tensor = found.immediateValue.tensor
        kind = tensor.WhichOneof("value")
        values = getattr(tensor, kind).values
        if kind == "bytes":
            if dtype in PACKED:  # nothing that we write
                raise NotAProgram(path=str(self.package), detail=f"a packed {dtype} outside the blob file")
            return np.frombuffer(values, DTYPES[dtype])
        return np.array(values, DTYPES[dtype])

    def _stored(self, found: Any, dtype: str) -> Array:
        name, offset = found.blobFileValue.fileName, found.blobFileValue.offset
        if name not in self.blobs:
            path = self.root / name.removeprefix(IN_PACKAGE)
            if not path.is_file():
                raise NotAProgram(path=str(self.package), detail=f"{name} is not there")
            self.blobs[name] = coremltools().libmilstoragepython._BlobStorageReader(str(path))
        reader = getattr(self.blobs[name], f"read_{READERS.get(dtype, dtype.lower())}_data")
        try:
            return np.asarray(reader(offset)).view(DTYPES[dtype])
        except RuntimeError as error:
            raise NotAProgram(path=str(self.package), detail=f"{name}: {error}") from error
