import Foundation
import KernelTable
import KernelsBaseline

#if arch(x86_64)
import KernelsAVX2
import KernelsAVX512
#endif

/// One variant's row kernels and attention, by name so that a failing test says which.
struct VectorVariant: Sendable, CustomStringConvertible {
    let name: String
    let table: VectorTable

    var description: String { name }

    /// The variants that this processor can run.
    static let all: [VectorVariant] = {
        var result = [VectorVariant]()
        func add(_ name: String, _ fill: (UnsafeMutablePointer<VectorTable?>) -> Void) {
            var table: VectorTable?
            fill(&table)
            if let table { result.append(VectorVariant(name: name, table: table)) }
        }
        add("Baseline", KernelsBaseline.fillVectorTable)
        #if arch(x86_64)
        let flags = Set((try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?
            .split(separator: "\n").first { $0.hasPrefix("flags") }?.split(separator: " ") ?? [])
        if flags.isSuperset(of: ["avx2", "fma", "f16c", "bmi2"]) {
            add("AVX2", KernelsAVX2.fillVectorTable)
        }
        if flags.isSuperset(of: ["avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"]) {
            add("AVX512", KernelsAVX512.fillVectorTable)
        }
        #endif
        return result
    }()
}

/// The awkward row lengths: everything around one to three registers, then rows of real models.
let awkwardCounts = Array(1...40) + [63, 64, 65, 640, 1000]

/// Whether `value` is the number `reference`, to `relative` of its size or `absolute`; NaN and infinity must be the same.
func close(_ value: Float, _ reference: Double, relative: Double = 1e-6, absolute: Double = 1e-7) -> Bool {
    if reference.isNaN { return value.isNaN }
    let rounded = Float(reference)
    if rounded.isInfinite || value.isInfinite {
        // One rounding of an intermediate may tip a result at the very end of the range.
        return value == rounded || abs(reference) > 3.402e38
    }
    return abs(Double(value) - reference) <= max(absolute, relative * abs(reference))
}
