public import KernelTable

/// Fills in this variant's kernels over rows and its attention.
///
/// Through a pointer, since what Swift emits for returning a large value is shared between modules that were compiled
/// for different processors.
public func fillVectorTable(_ table: UnsafeMutablePointer<VectorTable?>) {
    // By ggml's numbers. xIELU has parameters of its own, which a RowKernel cannot take.
    let unary: [RowKernel?] = [
        absRow, signRow, negRow, stepRow, tanhRow, eluRow, reluRow, sigmoidRow, geluRow, geluQuickRow, siluRow,
        hardSwishRow, hardSigmoidRow, expRow, expMinusOneRow, softplusRow, geluErfRow, nil, floorRow, ceilRow, roundRow,
        truncRow,
    ]
    // The two with parameters are left out.
    let glu: [RowPairKernel?] = [regluRow, gegluRow, swigluRow, nil, gegluErfRow, gegluQuickRow, nil]
    table.pointee = VectorTable(
        add: addRow, sub: subRow, mul: mulRow, div: divRow, scale: scaleRow, clamp: clampRow, unary: unary, glu: glu,
        rmsNorm: rmsNormRow, sum: sumRow, softMax: softMaxRow, rope: ropeRow, f32ToF16: f32ToF16Row,
        f16ToF32: f16ToF32Row, attention: attention,
        attentionScratchByteCount: { AttentionScratch.byteCount($0, $1) }, attentionQueries: attentionQueryLimit)
}
