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

/// Small, fast and the same everywhere (Steele, Lea & Flood's SplitMix64).
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func floats(_ count: Int, _ range: ClosedRange<Float> = -3...3) -> [Float] {
        (0..<count).map { _ in Float.random(in: range, using: &self) }
    }
}

/// Memory that ends where the process may not read on: a kernel that looks past its row dies.
final class GuardedRow {
    private let base: UnsafeMutableRawPointer
    private let mapped: Int
    /// `byteCount` bytes, the last of which is the last of its page.
    let pointer: UnsafeMutableRawPointer

    init(byteCount: Int) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let used = (byteCount + page - 1) / page * page
        mapped = used + page
        #if canImport(Darwin)
        let flags = MAP_PRIVATE | MAP_ANON
        #else
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        #endif
        guard let memory = mmap(nil, mapped, PROT_READ | PROT_WRITE, flags, -1, 0), memory != MAP_FAILED else {
            fatalError("no memory for the test")
        }
        mprotect(memory + used, page, PROT_NONE)
        base = memory
        pointer = memory + (used - byteCount)
    }

    convenience init<T: BitwiseCopyable>(_ values: [T]) {
        self.init(byteCount: values.count * MemoryLayout<T>.stride)
        values.withUnsafeBytes { bytes in
            if let start = bytes.baseAddress { pointer.copyMemory(from: start, byteCount: bytes.count) }
        }
    }

    var floats: UnsafeMutablePointer<Float> { pointer.assumingMemoryBound(to: Float.self) }

    func floats(_ count: Int) -> [Float] { (0..<count).map { floats[$0] } }

    deinit { munmap(base, mapped) }
}

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
