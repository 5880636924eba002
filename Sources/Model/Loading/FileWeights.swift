import GGUF
import Tensor

/// The tensors of a file in buffers of one backend, one buffer for each part of the file.
struct FileWeights: ModelWeights, WeightSource {
    private let file: GGUFFile
    /// By file: the whole mapping, which a backend of this process uses in place.
    private let buffers: [any Buffer]

    init(_ file: GGUFFile, on backend: any Backend) throws(BackendError) {
        self.file = file
        var buffers: [any Buffer] = []
        for part in file.parts { buffers.append(try backend.adopt(part.mapping)) }
        self.buffers = buffers
    }

    /// Everything is in the same place, so every part's weights are these.
    func weights(of part: ModelPart) -> FileWeights { self }

    func weight(named name: String) -> Weight? {
        file.tensor(name).map { tensor in
            Weight(
                name: name, type: tensor.type, shape: tensor.shape, buffer: buffers[tensor.part],
                byteOffset: tensor.byteOffset)
        }
    }
}
