import Tensor

/// A kind of model that reads a whole text at once and says what it means, token by token, but not how it goes on.
protocol EncoderArchitecture: Sendable {
    /// No layer remembers anything.
    var hyperparameters: Hyperparameters { get }

    /// What of the tokens' results stands for the text, as the file says; nil if it does not.
    var pooling: Pooling? { get }

    /// From tokens to hidden states, `[width, positions]`.
    func encode(_ text: EncoderContext) -> TensorID
}

/// What the graph of a text is built with: the builder and what is written before every run. Texts are padded to a length that
/// many have, so that graphs are used again; nobody sees the padding.
struct EncoderContext {
    let g = GraphBuilder()
    /// Tokens and padding.
    let positionCount: Int
    /// I32 `[positions]`.
    let tokens: TensorID
    /// I32 `[positions]`: 0, 1, 2…
    let positions: TensorID
    /// F32 `[positions]`: 0 for a token, -infinity for padding.
    let visible: TensorID
    /// F32 `[positions]`: with which weight a token's result counts in the text's.
    let shares: TensorID
    /// F32 `[keys, queries]`: the same for every query.
    let mask: TensorID

    init(positionCount: Int) {
        self.positionCount = positionCount
        tokens = g.input("tokens", .i32, Shape(positionCount))
        positions = g.input("positions", .i32, Shape(positionCount))
        visible = g.input("visible", .f32, Shape(positionCount))
        shares = g.input("shares", .f32, Shape(positionCount))
        mask = g.repeated(visible, to: Shape(positionCount, positionCount))
    }

    /// The sum of hidden states by their shares: `[width, positions]` to `[width]`.
    func pooled(_ x: TensorID) -> TensorID { g.matMul(g.contiguous(g.transpose(x)), shares) }
}

/// What of the tokens' results stands for a text.
public enum Pooling: Int, Sendable, CaseIterable {
    /// The mean of all.
    case mean = 1
    /// The first token's, which is there for it.
    case first = 2
    case last = 3

    /// With which weights the results of so many tokens count.
    func shares(count: Int) -> [Float] {
        switch self {
        case .mean: return [Float](repeating: 1 / Float(count), count: count)
        case .first: return [1] + [Float](repeating: 0, count: count - 1)
        case .last: return [Float](repeating: 0, count: count - 1) + [1]
        }
    }
}
