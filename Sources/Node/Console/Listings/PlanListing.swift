internal import Foundation
internal import GGUF
internal import Model
internal import NodeCluster
public import NodeEngine

/// What `swiftlet plan` prints.
public enum PlanListing {
    /// Asks the workers for their memory and says which machine would get what of the model, without moving any of it.
    ///
    /// - Parameter comparing: say, too, where a stock head would put the layers.
    /// - Throws: `GGUFError` and `ModelError` for files that cannot be used, ``HeadError`` for workers that cannot, and for a
    ///   model that does not fit.
    public static func text(_ options: EngineOptions, json: Bool, comparing: Bool) throws -> String {
        let file = try GGUFFile(path: options.modelPath)
        let outline = try ModelOutline(file)
        let placed = try PlacedModel(
            outline, options, slotCount: max(1, options.slotCount),
            contextSize: LoadedModel.contextSize(options, outline.hyperparameters))
        defer { placed.close() }
        if !json {
            let remarks = placed.remarks.map { "\n" + $0 + "\n" }.joined()
            return PlacementTable(placed.placement, comparing: comparing).text + remarks
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(PlacementReport(placed.placement, comparing: comparing)), as: UTF8.self) + "\n"
    }
}
