import Tensor

extension Backend {
    /// One tensor alone, at the beginning of the buffer that is returned.
    func load(_ tensor: TensorUpload) throws -> any TensorBuffer {
        let places = try load([tensor])
        guard let place = places.first, places.count == 1, place.byteOffset == 0 else {
            throw BackendError(.invalidArgument, "it is somewhere else")
        }
        return place.buffer
    }
}
