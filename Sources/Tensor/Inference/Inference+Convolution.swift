extension Inference {
    func convolution() throws(GraphError) -> Operation.Result {
        switch operation {
        case .im2col, .im2colBack, .im2col3D, .col2im1D: return try columns()
        case .convTranspose1D, .convTranspose2D: return try transposed()
        default: return try direct()
        }
    }

    /// How many places a kernel has along one dimension; at least one.
    private func places(
        _ extent: Int, kernel: Int, stride: Int32, padding: Int32, dilation: Int32
    ) throws(GraphError) -> Int {
        try require(
            stride > 0 && padding >= 0 && dilation > 0, .parameter,
            "stride \(stride), padding \(padding), dilation \(dilation)")
        let reach = try sum(try product(Int(dilation), kernel - 1), 1)
        let rest = try sum(extent, 2 * Int(padding), -reach)
        // As in ggml, division rounds towards zero: a kernel that reaches over less than a stride too far has a place.
        let count = rest / Int(stride) + 1
        try require(count > 0, .shape, "\(extent) elements are too few for a kernel that reaches over \(reach)")
        return count
    }

    private func places(_ image: Shape, _ kernel: Shape, _ window: Window2D, _ dimension: Int) throws(GraphError) -> Int {
        try places(
            image[dimension], kernel: kernel[dimension], stride: window.stride[dimension],
            padding: window.padding[dimension], dilation: window.dilation[dimension])
    }

    private func places(_ volume: Shape, _ kernel: Shape, _ window: Window3D, _ dimension: Int) throws(GraphError) -> Int {
        try places(
            volume[dimension], kernel: kernel[dimension], stride: window.stride[dimension],
            padding: window.padding[dimension], dilation: window.dilation[dimension])
    }

    // MARK: Columns

    private func columns() throws(GraphError) -> Operation.Result {
        let a = try source(0)
        switch operation {
        case .im2col(let parameters):
            let b = try source(1)
            let type = try declaration().type
            try require(type == .f32 || type == .f16 || type == .bf16, .type, "columns of \(type.name)")
            return Operation.Result(type, try columnShape(kernel: a.shape, image: b.shape, parameters))
        case .im2colBack(let parameters):
            let kernel = try source(1)
            let image = try declaration().shape
            try requireType(a, .f32)
            try requireShape(a, try columnShape(kernel: kernel.shape, image: image, parameters))
            return Operation.Result(.f32, image)
        case .im2col3D(let window, let channels):
            let b = try source(1)
            let type = try declaration().type
            try require(type == .f32 || type == .f16 || type == .bf16, .type, "columns of \(type.name)")
            try require(channels > 0, .parameter, "\(channels) channels")
            // As in ggml, volumes that are not enough for one more batch are left out.
            let count = Int(channels)
            let depth = try places(b.shape, a.shape, window, 2)
            return Operation.Result(
                type,
                Shape(
                    try product(a.shape[0], a.shape[1], a.shape[2], count), try places(b.shape, a.shape, window, 0),
                    try places(b.shape, a.shape, window, 1), try product(depth, b.shape[3] / count)))
        case .col2im1D(let stride, let channels, let padding):
            try requireType(a, .f32, .f16, .bf16)
            try requireContiguous(a)
            try require(
                stride > 0 && channels > 0 && padding >= 0, .parameter,
                "stride \(stride), \(channels) channels, padding \(padding)")
            let count = Int(channels)
            try require(
                a.shape == Shape(a.shape[0], a.shape[1]) && a.shape[0] % count == 0 && a.shape[0] > 0, .shape,
                "columns \(a.shape) for \(count) channels")
            let length = try sum(try product(a.shape[1] - 1, Int(stride)), a.shape[0] / count, -2 * Int(padding))
            try require(length > 0, .shape, "a signal of \(length) elements")
            return Operation.Result(a.type, Shape(length, count))
        default:
            throw fail(.structure, "makes no columns")
        }
    }

    private func columnShape(kernel: Shape, image: Shape, _ parameters: Im2colParameters) throws(GraphError) -> Shape {
        let width = try places(image, kernel, parameters.window, 0)
        if parameters.is2D {
            try require(kernel[2] == image[2], .shape, "kernel \(kernel) and image \(image) differ in channels")
            let height = try places(image, kernel, parameters.window, 1)
            return Shape(try product(kernel[0], kernel[1], kernel[2]), width, height, image[3])
        }
        try require(kernel[1] == image[1] && image[3] == 1, .shape, "kernel \(kernel) does not fit signal \(image)")
        return Shape(try product(kernel[0], kernel[1]), width, image[2], 1)
    }

    // MARK: Direct

    private func direct() throws(GraphError) -> Operation.Result {
        let a = try source(0)
        let b = try source(1)
        switch operation {
        case .conv2D(let window):
            try require(a.shape[2] == b.shape[2], .shape, "kernel \(a.shape) and image \(b.shape) differ in channels")
            let (width, height) = (try places(b.shape, a.shape, window, 0), try places(b.shape, a.shape, window, 1))
            return Operation.Result(b.type, Shape(width, height, a.shape[3], b.shape[3]))
        case .conv2DDepthwise(let window):
            try require(
                a.shape[2] == 1 && a.shape[3] == b.shape[2] && !b.type.isQuantized, .shape,
                "kernel \(a.shape) does not fit the channels of image \(b.shape)")
            let (width, height) = (try places(b.shape, a.shape, window, 0), try places(b.shape, a.shape, window, 1))
            let shape = Shape(width, height, b.shape[2], b.shape[3])
            return Operation.Result(b.type, shape, strides: try depthwiseStrides(shape, b))
        case .conv3D(let parameters):
            let channels = Int(parameters.channels)
            let (outputs, batch) = (Int(parameters.outputs), Int(parameters.batch))
            try require(
                channels > 0 && outputs > 0 && batch > 0, .parameter,
                "\(channels) channels, \(outputs) outputs, \(batch) volumes")
            let (kernels, volumes) = (try product(channels, outputs), try product(channels, batch))
            try require(
                a.shape[3] == kernels && b.shape[3] == volumes, .shape,
                "kernel \(a.shape) and volume \(b.shape) have no \(channels) channels each")
            return Operation.Result(
                .f32,
                Shape(
                    try places(b.shape, a.shape, parameters.window, 0), try places(b.shape, a.shape, parameters.window, 1),
                    try places(b.shape, a.shape, parameters.window, 2), try product(outputs, batch)))
        default:
            throw fail(.structure, "is no convolution")
        }
    }

    /// An image with its channels innermost gives another such.
    private func depthwiseStrides(_ shape: Shape, _ image: Tensor) throws(GraphError) -> Strides? {
        let size = image.type.bytesPerBlock
        guard image.strides[0] > image.strides[2], image.strides[1] > image.strides[0], image.strides[2] == size else {
            return nil
        }
        let column = try product(shape[2], size)
        let row = try product(shape[0], column)
        return Strides(column, row, size, try product(row, shape[1]))
    }

    // MARK: Transposed

    private func transposed() throws(GraphError) -> Operation.Result {
        let a = try source(0)
        let b = try source(1)
        func length(_ dimension: Int, _ stride: Int32) throws(GraphError) -> Int {
            try require(stride > 0, .parameter, "stride \(stride)")
            try require(b.shape[dimension] > 0 && a.shape[dimension] > 0, .shape, "kernel \(a.shape) over \(b.shape)")
            return try sum(try product(b.shape[dimension] - 1, Int(stride)), a.shape[dimension])
        }
        switch operation {
        case .convTranspose1D(let stride):
            try require(
                a.shape[2] == b.shape[1] && a.shape[3] == 1 && b.shape[2] == 1 && b.shape[3] == 1, .shape,
                "kernel \(a.shape) does not fit signal \(b.shape)")
            return Operation.Result(.f32, Shape(try length(0, stride), a.shape[1], b.shape[2]))
        case .convTranspose2D(let stride):
            try require(a.shape[3] == b.shape[2], .shape, "kernel \(a.shape) does not fit image \(b.shape)")
            return Operation.Result(.f32, Shape(try length(0, stride), try length(1, stride), a.shape[2], b.shape[3]))
        default:
            throw fail(.structure, "is no transposed convolution")
        }
    }
}
