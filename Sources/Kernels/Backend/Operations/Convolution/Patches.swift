internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What lies under a kernel at each of its places: rows of `[width, height, depth, channels]` values of an image or a
/// volume, zero where the kernel reaches over the edge.
struct Patches {
    let x: WindowAxis
    let y: WindowAxis
    let z: WindowAxis
    let channels: Int
    let batches: Int
    /// Values of one patch.
    let length: Int
    /// Patches of one image.
    let placeCount: Int
    private let base: UnsafeMutableRawPointer
    /// The distances in bytes between neighbours.
    private let steps: (x: Int, y: Int, z: Int, channel: Int, batch: Int)

    /// Nil if counts overflow. `image` is F32, or empty, and has the extents that the axes say.
    init?(
        _ image: Operand, _ x: WindowAxis, _ y: WindowAxis, _ z: WindowAxis, channels: Int, batches: Int,
        steps: (x: Int, y: Int, z: Int, channel: Int, batch: Int)
    ) {
        guard image.type == .f32 || image.isEmpty, let length = Shape(x.kernel, y.kernel, z.kernel, channels).checkedElementCount,
            let placeCount = Shape(x.places, y.places, z.places).checkedElementCount,
            length <= 1 << 44, placeCount <= 1 << 44, Shape(length, placeCount, batches).checkedElementCount != nil
        else { return nil }
        (self.x, self.y, self.z) = (x, y, z)
        self.channels = channels
        self.batches = batches
        self.length = length
        self.placeCount = placeCount
        base = image.base
        self.steps = steps
    }

    /// Writes the patch at `place`, places counted along the width first.
    func fill(_ target: UnsafeMutablePointer<Float>, place: Int, batch: Int) {
        let (rest, px) = place.quotientAndRemainder(dividingBy: x.places)
        let (pz, py) = rest.quotientAndRemainder(dividingBy: y.places)
        let (ox, oy, oz) = (x.overlap(at: px), y.overlap(at: py), z.overlap(at: pz))
        if ox.count != x.kernel || oy.count != y.kernel || oz.count != z.kernel {
            memset(target, 0, length &* 4)
            if ox.count == 0 || oy.count == 0 || oz.count == 0 { return }
        }
        let origin =
            base + (batch &* steps.batch &+ ox.source &* steps.x &+ oy.source &* steps.y &+ oz.source &* steps.z)
        let volume = x.kernel &* y.kernel &* z.kernel
        let first = (oz.first &* y.kernel &+ oy.first) &* x.kernel &+ ox.first
        let (stepX, stepY, stepZ) = (x.dilation &* steps.x, y.dilation &* steps.y, z.dilation &* steps.z)
        if volume == 1 {
            for c in 0..<channels { target[c] = origin.load(fromByteOffset: c &* steps.channel, as: Float.self) }
            return
        }
        for c in 0..<channels {
            for kz in 0..<oz.count {
                for ky in 0..<oy.count {
                    let out = target + (c &* volume &+ first &+ (kz &* y.kernel &+ ky) &* x.kernel)
                    let source = c &* steps.channel &+ kz &* stepZ &+ ky &* stepY
                    for kx in 0..<ox.count {
                        out[kx] = origin.load(fromByteOffset: source &+ kx &* stepX, as: Float.self)
                    }
                }
            }
        }
    }
}

extension PlanBuilder {
    func axis(
        _ id: TensorID, _ extent: Int, _ kernel: Int, _ stride: Int32, _ padding: Int32, _ dilation: Int32
    ) throws(BackendError) -> WindowAxis {
        guard
            let axis = WindowAxis(extent: extent, kernel: kernel, stride: stride, padding: padding, dilation: dilation)
        else {
            throw invalid(
                id,
                "a kernel of \(kernel) finds no place on \(extent) with stride \(stride), padding \(padding), dilation \(dilation)")
        }
        return axis
    }

    func axis(_ id: TensorID, _ image: Operand, _ kernel: Operand, _ window: Window2D, _ i: Int) throws(BackendError) -> WindowAxis {
        try axis(id, image.shape[i], kernel.shape[i], window.stride[i], window.padding[i], window.dilation[i])
    }

    func axis(_ id: TensorID, _ image: Operand, _ kernel: Operand, _ window: Window3D, _ i: Int) throws(BackendError) -> WindowAxis {
        try axis(id, image.shape[i], kernel.shape[i], window.stride[i], window.padding[i], window.dilation[i])
    }

    /// Images `[width, height, channels, batch]`.
    func patches(_ id: TensorID, _ image: Operand, _ x: WindowAxis, _ y: WindowAxis) throws(BackendError) -> Patches {
        let steps = (x: image.s0, y: image.s1, z: 0, channel: image.s2, batch: image.s3)
        guard let patches = Patches(image, x, y, .single, channels: image.n2, batches: image.n3, steps: steps) else {
            throw invalid(id, "it has too many patches")
        }
        return patches
    }

    /// Volumes `[width, height, depth, channels · batch]`.
    func patches(
        _ id: TensorID, _ volume: Operand, _ kernel: Operand, _ window: Window3D, channels: Int
    ) throws(BackendError) -> Patches {
        guard channels > 0 else { throw invalid(id, "volumes of \(channels) channels") }
        let steps = (x: volume.s0, y: volume.s1, z: volume.s2, channel: volume.s3, batch: channels &* volume.s3)
        guard
            let patches = Patches(
                volume, try axis(id, volume, kernel, window, 0), try axis(id, volume, kernel, window, 1),
                try axis(id, volume, kernel, window, 2), channels: channels, batches: volume.n3 / channels, steps: steps)
        else { throw invalid(id, "it has too many patches") }
        return patches
    }

    /// An image as F32, of whatever strides.
    mutating func floatImage(_ id: TensorID, _ image: Operand) throws(BackendError) -> Operand {
        image.type == .f32 ? image : try packedFloats(id, image)
    }
}
