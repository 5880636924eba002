import Tensor

// Convolutions and images.
extension Drafter {
    private mutating func window() -> Window2D {
        Window2D(
            stride: SIMD2(whole(1, 1, 2, 3), whole(1, 1, 2)), padding: SIMD2(whole(0, 0, 1, 2), whole(0, 0, 1)),
            dilation: SIMD2(whole(1, 1, 2), whole(1, 1, 2)))
    }

    private mutating func window3D() -> Window3D {
        Window3D(
            stride: SIMD3(whole(1, 2), whole(1), whole(1, 2)), padding: SIMD3(whole(0, 1), whole(0, 1), whole(0)),
            dilation: SIMD3(whole(1, 2), whole(1), whole(1)))
    }

    private mutating func kernelType() -> ElementType { random.chance(50) ? .f16 : floatType() }

    mutating func image(_ kind: OperationKind) -> Draft {
        let (width, height) = (random.pick([1, 5, 8, 17, 24, 33]), random.pick([1, 4, 7, 12]))
        let (kernelWidth, kernelHeight, channels, outputs, batch) = (1 + random.below(4), 1 + random.below(3), small(5), small(5), small(2))
        let kernel = Shape(kernelWidth, kernelHeight, channels, outputs)
        let picture = Shape(width, height, channels, batch)
        switch kind {
        case .convTranspose1D:
            return Draft(
                .convTranspose1D(stride: whole(1, 2, 3)),
                [Draft.Source(kernelType(), Shape(kernelWidth, outputs, channels)), Draft.Source(.f32, Shape(width, channels))])
        case .convTranspose2D:
            return Draft(
                .convTranspose2D(stride: whole(1, 2, 3)),
                [Draft.Source(kernelType(), Shape(kernelWidth, kernelHeight, outputs, channels)), Draft.Source(.f32, picture)])
        case .im2col:
            let type: ElementType = random.pick([.f32, .f16, .bf16])
            if random.chance(70) {
                return Draft(
                    .im2col(Im2colParameters(window(), is2D: true)), [Draft.Source(kernelType(), kernel), Draft.Source(.f32, picture)],
                    declared: .init(type, Shape(1)))
            }
            return Draft(
                .im2col(Im2colParameters(window(), is2D: false)),
                [Draft.Source(kernelType(), Shape(kernelWidth, channels, outputs)), Draft.Source(.f32, Shape(width, channels, batch))],
                declared: .init(type, Shape(1)))
        case .im2colBack:
            let parameters = Im2colParameters(window(), is2D: true)
            let known = [kernel, picture].map { Tensor(name: "", type: .f32, shape: $0) }
            let columns = (try? Operation.im2col(parameters).inferred(from: known, declared: .init(.f32, Shape(1))))?.shape ?? Shape(4)
            return Draft(
                .im2colBack(parameters), [Draft.Source(.f32, columns), Draft.Source(.f32, kernel)], declared: .init(.f32, picture))
        case .im2col3D, .conv3D:
            let (depth, kernelDepth) = (random.pick([1, 3, 6]), 1 + random.below(3))
            let kernel = Shape(kernelWidth, kernelHeight, kernelDepth, channels * outputs)
            let volume = Shape(width, height, depth, channels * batch)
            let sources: [Draft.Source?] = [Draft.Source(kernelType(), kernel), Draft.Source(.f32, volume)]
            if kind == .im2col3D {
                return Draft(
                    .im2col3D(window3D(), channels: Int32(channels)), sources, declared: .init(random.pick([.f32, .f16]), Shape(1)))
            }
            return Draft(
                .conv3D(Convolution3DParameters(window3D(), channels: Int32(channels), batch: Int32(batch), outputs: Int32(outputs))),
                sources)
        case .col2im1D:
            return Draft(
                .col2im1D(stride: whole(1, 2, 3), channels: Int32(channels), padding: whole(0, 0, 1)),
                [Draft.Source(floatType(), Shape(kernelWidth * channels, width), loose: false)])
        case .conv2D: return Draft(.conv2D(window()), [Draft.Source(kernelType(), kernel), Draft.Source(.f32, picture)])
        case .conv2DDepthwise:
            return Draft(
                .conv2DDepthwise(window()),
                [Draft.Source(kernelType(), Shape(kernelWidth, kernelHeight, 1, channels)), Draft.Source(.f32, picture)])
        case .pool1D:
            return Draft(
                .pool1D(random.pick(PoolKind.allCases), size: whole(1, 2, 3), stride: whole(1, 2, 3), padding: whole(0, 0, 1)),
                [Draft.Source(floatType(), picture)])
        case .pool2D, .pool2DBack:
            let parameters = Pool2DParameters(
                random.pick(PoolKind.allCases), size: SIMD2(whole(1, 2, 3), whole(1, 2)), stride: SIMD2(whole(1, 2), whole(1, 2)),
                padding: SIMD2(whole(0, 0, 1), whole(0, 0, 1)))
            let picture = Draft.Source(floatType(), picture)
            if kind == .pool2D { return Draft(.pool2D(parameters), [picture]) }
            let known = [Tensor(name: "", type: .f32, shape: picture.shape)]
            let pooled = (try? Operation.pool2D(parameters).inferred(from: known))?.shape ?? Shape(4)
            return Draft(.pool2DBack(parameters), [Draft.Source(random.chance(80) ? .f32 : .f16, pooled), picture])
        case .upscale:
            let mode = random.pick(UpscaleParameters.Mode.allCases)
            let parameters = UpscaleParameters(mode, alignsCorners: random.chance(40), antialiases: mode == .bilinear && random.chance(40))
            let target = Shape(extent(60), extent(30), channels * small(2), batch)
            return Draft(.upscale(parameters), [Draft.Source(.f32, picture)], declared: .init(.f32, target))
        case .pad:
            let before = SIMD4<Int32>(whole(0, 1, 3), whole(0, 2), whole(0, 0, 1), whole(0, 0, 1))
            let after = SIMD4<Int32>(whole(0, 1, 3), whole(0, 2), whole(0, 0, 1), whole(0, 0, 1))
            return Draft(.pad(PadParameters(before: before, after: after, circular: random.chance(40))), [Draft.Source(.f32, picture)])
        case .padReflect1D:
            return Draft(
                .padReflect1D(before: Int32(random.below(width)), after: whole(0, 0, Int32(width - 1))),
                [Draft.Source(.f32, picture, loose: false)])
        default: return Draft(.none, [])
        }
    }
}
