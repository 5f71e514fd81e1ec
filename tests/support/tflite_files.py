"""Small TFLite files, written operator by operator."""

import flatbuffers
import numpy as np
import tflite

TYPES = {
    np.dtype("f4"): tflite.TensorType.FLOAT32,
    np.dtype("i1"): tflite.TensorType.INT8,
    np.dtype("i4"): tflite.TensorType.INT32,
}
#: Operators with options, the name of these, and their values.
OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "SOFTMAX": "SoftmaxOptions",
    "RESHAPE": "ReshapeOptions",
}


def write_tflite(path, tensors, operators=(), inputs=(), outputs=()):
    """Write a file.

    Arguments
    ---------
    path : Path
    tensors : list of (name, array), (name, shape) or (name, array of int8, scales, axis)
        A constant, or what is computed, in float32; a quantised constant with zero points of 0.
    operators : list of (name, inputs, outputs, options)
    inputs, outputs : numbers of tensors
    """
    builder = flatbuffers.Builder(1024)

    def vector(values, put=builder.PrependInt32, size=4):
        builder.StartVector(size, len(values), size)
        for value in reversed(values):
            put(value)
        return builder.EndVector()

    def offsets(values):
        return vector(values, builder.PrependUOffsetTRelative)

    buffers, held = [_buffer(builder, None)], []
    for name, value, *quantized in tensors:
        constant = isinstance(value, np.ndarray)
        if constant:
            buffers.append(_buffer(builder, value))
        about = None
        if quantized:
            scales, axis = quantized
            scale = builder.CreateNumpyVector(np.asarray(scales, "f4"))
            zero = builder.CreateNumpyVector(np.zeros(len(scales), "i8"))
            tflite.QuantizationParametersStart(builder)
            tflite.QuantizationParametersAddScale(builder, scale)
            tflite.QuantizationParametersAddZeroPoint(builder, zero)
            tflite.QuantizationParametersAddQuantizedDimension(builder, axis)
            about = tflite.QuantizationParametersEnd(builder)
        title = builder.CreateString(name)
        shape = vector(list(value.shape if constant else value))
        tflite.TensorStart(builder)
        tflite.TensorAddShape(builder, shape)
        tflite.TensorAddType(builder, TYPES[value.dtype] if constant else tflite.TensorType.FLOAT32)
        tflite.TensorAddBuffer(builder, len(buffers) - 1 if constant else 0)
        tflite.TensorAddName(builder, title)
        if about is not None:
            tflite.TensorAddQuantization(builder, about)
        held.append(tflite.TensorEnd(builder))
    kinds = sorted({name for name, *_ in operators})
    codes = []
    for kind in kinds:
        tflite.OperatorCodeStart(builder)
        number = getattr(tflite.BuiltinOperator, kind)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, number)
        tflite.OperatorCodeAddBuiltinCode(builder, number)
        tflite.OperatorCodeAddVersion(builder, 1)
        codes.append(tflite.OperatorCodeEnd(builder))
    computed = []
    for kind, ins, outs, options in operators:
        title = OPTIONS[kind]
        getattr(tflite, f"{title}Start")(builder)
        for option, value in options.items():
            getattr(tflite, f"{title}Add{option}")(builder, value)
        made = getattr(tflite, f"{title}End")(builder)
        ins, outs = vector(ins), vector(outs)
        tflite.OperatorStart(builder)
        tflite.OperatorAddOpcodeIndex(builder, kinds.index(kind))
        tflite.OperatorAddInputs(builder, ins)
        tflite.OperatorAddOutputs(builder, outs)
        tflite.OperatorAddBuiltinOptionsType(builder, getattr(tflite.BuiltinOptions, title))
        tflite.OperatorAddBuiltinOptions(builder, made)
        computed.append(tflite.OperatorEnd(builder))
    parts = [offsets(held), vector(list(inputs)), vector(list(outputs)), offsets(computed)]
    tflite.SubGraphStart(builder)
    for name, part in zip(("Tensors", "Inputs", "Outputs", "Operators"), parts, strict=True):
        getattr(tflite, f"SubGraphAdd{name}")(builder, part)
    graphs = offsets([tflite.SubGraphEnd(builder)])
    codes, buffers = offsets(codes), offsets(buffers)
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, codes)
    tflite.ModelAddSubgraphs(builder, graphs)
    tflite.ModelAddBuffers(builder, buffers)
    builder.Finish(tflite.ModelEnd(builder), b"TFL3")
    path.write_bytes(builder.Output())


def _buffer(builder, value):
    data = None
    if value is not None:
        builder.StartVector(1, value.nbytes, 16)  # aligned as the runtime wants it
        builder.head -= value.nbytes
        builder.Bytes[builder.head : builder.head + value.nbytes] = value.tobytes()
        data = builder.EndVector()
    tflite.BufferStart(builder)
    if data is not None:
        tflite.BufferAddData(builder, data)
    return tflite.BufferEnd(builder)
