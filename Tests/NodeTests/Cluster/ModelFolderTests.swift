import Foundation
import Node
import TestSupport
import Testing

/// Folders of models as people have them: halves of downloads, projectors, folders in folders.
@Suite struct ModelFolderTests {
    private final class Folder {
        let url = FileManager.default.temporaryDirectory.appending(path: "models-\(UUID().uuidString)")

        init() throws {
            let model = try TinyModel()
            let content = try Data(contentsOf: URL(fileURLWithPath: model.path))
            func write(_ name: String, _ data: Data) throws {
                let file = url.appending(path: name)
                try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
                try data.write(to: file)
            }
            try write("good.gguf", content)
            try write("sub/good.gguf", content)
            try write("sub/deeper/nested.gguf", content)
            try write("half.gguf", content.prefix(content.count / 2))
            try write("notes.txt", Data("no model".utf8))
            try write(".hidden/other.gguf", content)
            let projector = try TinyModel { $0.set("general.architecture", .string("clip")) }
            try write("mmproj.gguf", try Data(contentsOf: URL(fileURLWithPath: projector.path)))
            let foreign = try TinyModel { $0.set("tokenizer.ggml.model", .string("rwkv")) }
            try write("words.gguf", try Data(contentsOf: URL(fileURLWithPath: foreign.path)))
        }

        deinit { try? FileManager.default.removeItem(at: url) }

        func options() throws -> [EngineOptions] {
            try ModelFiles.expand([url.path]).map { file in
                var options = EngineOptions(modelPath: file.path, contextSize: 64)
                options.isOptional = file.isFound
                return options
            }
        }
    }

    @Test("those that can be used are served, the others listed with the reason and told of by their files' names")
    func folder() async throws {
        let folder = try Folder()
        let library = try ModelLibrary(try folder.options(), events: EventFeed())
        let listings = library.models
        #expect(listings.filter { $0.state != .failed }.map(\.id) == ["good", "nested", "sub/good"])
        #expect(listings.filter { $0.state == .failed }.map(\.id) == ["half", "mmproj", "words"])
        #expect(listings.first { $0.id == "half" }?.reason?.contains("half.gguf") == true)
        #expect(listings.first { $0.id == "mmproj" }?.reason?.contains("clip") == true)

        #expect(listings.first { $0.id == "words" }?.reason?.contains("rwkv") == true)

        let server = TestServer(models: library)
        let list = try await server.ask(.get, "/v1/models").json
        #expect(list["data"]?[4]?["id"] == "mmproj")
        #expect(list["data"]?[4]?["state"] == "failed")
        let refused = try await server.post("/v1/completions", ["model": "half", "prompt": "w3"])
        #expect(refused.status == 400)
        #expect(refused.text.contains("half.gguf"))
        let served = try await server.post("/v1/completions", ["model": "sub/good", "prompt": "w3", "max_tokens": 1])
        #expect(served.status == 200)
        await library.shutdown()
    }

    @Test("each of them is a warning among the events")
    func warnings() async throws {
        let folder = try Folder()
        let events = EventFeed()
        let library = try ModelLibrary(try folder.options(), events: events)
        events.close()
        var told: [NodeEvent] = []
        for await event in events.events where event.kind == .warned { told.append(event) }
        #expect(told.count == 3)
        #expect(told.first?.line.contains("half.gguf") == true)
        #expect(told.contains { $0.line.contains("mmproj.gguf") } && told.contains { $0.line.contains("words.gguf") })
        await library.shutdown()
    }

    @Test("a file that was asked for by name still is an error")
    func named() throws {
        let folder = try Folder()
        let half = folder.url.appending(path: "half.gguf").path
        #expect(throws: (any Error).self) { try ModelLibrary([EngineOptions(modelPath: half)], events: EventFeed()) }
        #expect(try ModelFiles.expand([half]).map(\.isFound) == [false])
    }
}
