public import KernelTable

/// Fills in this variant's kernels over rows and its attention.
public func fillVectorTable(_ table: UnsafeMutablePointer<VectorTable?>) {
    VectorTable.fill(
        table, add: addRow, sub: subRow, mul: mulRow, div: divRow, scale: scaleRow, clamp: clampRow,
        rmsNorm: rmsNormRow, sum: sumRow, softMax: softMaxRow, rope: ropeRow, f32ToF16: f32ToF16Row,
        f16ToF32: f16ToF32Row, attention: attention,
        attentionScratchByteCount: { AttentionScratch.byteCount($0, $1) }, attentionQueries: attentionQueryLimit)

    // By ggml's numbers. 17, xIELU, has parameters of its own, which a RowKernel cannot take.
    VectorTable.setUnary(table, 0, absRow)
    VectorTable.setUnary(table, 1, signRow)
    VectorTable.setUnary(table, 2, negRow)
    VectorTable.setUnary(table, 3, stepRow)
    VectorTable.setUnary(table, 4, tanhRow)
    VectorTable.setUnary(table, 5, eluRow)
    VectorTable.setUnary(table, 6, reluRow)
    VectorTable.setUnary(table, 7, sigmoidRow)
    VectorTable.setUnary(table, 8, geluRow)
    VectorTable.setUnary(table, 9, geluQuickRow)
    VectorTable.setUnary(table, 10, siluRow)
    VectorTable.setUnary(table, 11, hardSwishRow)
    VectorTable.setUnary(table, 12, hardSigmoidRow)
    VectorTable.setUnary(table, 13, expRow)
    VectorTable.setUnary(table, 14, expMinusOneRow)
    VectorTable.setUnary(table, 15, softplusRow)
    VectorTable.setUnary(table, 16, geluErfRow)
    VectorTable.setUnary(table, 18, floorRow)
    VectorTable.setUnary(table, 19, ceilRow)
    VectorTable.setUnary(table, 20, roundRow)
    VectorTable.setUnary(table, 21, truncRow)

    // The two units with parameters, 3 and 6, do not fit a RowPairKernel.
    VectorTable.setGLU(table, 0, regluRow)
    VectorTable.setGLU(table, 1, gegluRow)
    VectorTable.setGLU(table, 2, swigluRow)
    VectorTable.setGLU(table, 4, gegluErfRow)
    VectorTable.setGLU(table, 5, gegluQuickRow)
}
