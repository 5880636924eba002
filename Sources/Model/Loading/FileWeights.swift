import GGUF
import Tensor

/// The tensors of a file in buffers of a backend, one buffer for each part of the file.
struct FileWeights: WeightSource {
    private let file: GGUFFile
    /// By part: the whole mapping, which a backend of this process uses in place.
    private let buffers: [any Buffer]

    init(_ file: GGUFFile, on backend: any Backend) throws(BackendError) {
        self.file = file
        var buffers: [any Buffer] = []
        for part in file.parts { buffers.append(try backend.adopt(part.mapping)) }
        self.buffers = buffers
    }

    func weight(named name: String) -> Weight? {
        file.tensor(name).map { tensor in
            Weight(
                name: name, type: tensor.type, shape: tensor.shape, buffer: buffers[tensor.part],
                byteOffset: tensor.byteOffset)
        }
    }
}
