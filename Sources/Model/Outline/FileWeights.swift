internal import GGUF
internal import Tensor

/// All weights of a file on one backend; of this process, it uses them where they are mapped.
struct FileWeights: ModelWeights, WeightSource {
    private let file: GGUFFile
    /// By part of the file.
    private let buffers: [any Buffer]

    /// - Throws: `BackendError` where they cannot be taken over.
    init(_ file: GGUFFile, on backend: any Backend) throws(BackendError) {
        self.file = file
        buffers = try file.parts.map { part throws(BackendError) in try backend.adopt(part.mapping) }
    }

    func weights(of part: ModelPart) -> any WeightSource { self }

    func weight(named name: String) -> Weight? {
        guard let tensor = file.tensor(name) else { return nil }
        return Weight(
            name: name, type: tensor.type, shape: tensor.shape, buffer: buffers[tensor.part], byteOffset: tensor.byteOffset)
    }
}
