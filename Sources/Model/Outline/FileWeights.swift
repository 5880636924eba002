internal import GGUF
internal import Tensor

/// All weights of a file on one backend.
struct FileWeights: ModelWeights, WeightSource {
    private var weights: [String: Weight] = [:]

    /// - Throws: `BackendError` where they cannot be loaded.
    init(_ file: GGUFFile, on backend: any Backend) throws(BackendError) {
        let places = try backend.load(file.tensors.map { TensorUpload($0, of: file) })
        for (tensor, place) in zip(file.tensors, places) {
            weights[tensor.name] = Weight(
                name: tensor.name, type: tensor.type, shape: tensor.shape, buffer: place.buffer, byteOffset: place.byteOffset)
        }
    }

    func weights(of part: ModelPart) -> any WeightSource { self }

    func weight(named name: String) -> Weight? { weights[name] }
}
