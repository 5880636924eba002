import Foundation
import Jinja
import TestSupport
import Testing

@Suite("Templates of models")
struct ModelTemplateTests {
    init() { _ = OracleCase.zone }

    /// What Jinja 2 refuses and we need not: its sandbox forbids lists to change, and its `map` gives a generator,
    /// which `tojson` cannot write.
    private static let moreLenient = ["SecurityError", "Object of type generator"]

    @Test("Every template of the collection renders every conversation as Jinja 2 does, or is refused alike")
    func collection() throws {
        guard let folder = ExternalData.find("templates"), let python = ExternalData.find("venv/bin/python") else { return }
        let name = "swiftlet-templates-\(ProcessInfo.processInfo.processIdentifier).jsonl"
        let output = FileManager.default.temporaryDirectory.appending(path: name)
        defer { try? FileManager.default.removeItem(at: output) }
        let oracle = Process()
        oracle.executableURL = python
        oracle.arguments = [ExternalData.fixture("template/jinja2-oracle.py").path, "conversations", folder.path, output.path]
        try oracle.run()
        oracle.waitUntilExit()
        #expect(oracle.terminationStatus == 0)

        var templates: [String: Template] = [:]
        var agreeing = 0
        for sample in try OracleCase.all(in: Data(contentsOf: output)) {
            var rendered: String?
            var failure = ""
            do {
                let file = folder.appending(path: sample.template)
                let template =
                    try templates[sample.template] ?? Template(source: String(decoding: Data(contentsOf: file), as: UTF8.self))
                templates[sample.template] = template
                rendered = try sample.render(template).text
            } catch {
                failure = "\(error)"
            }
            if sample.output == nil, Self.moreLenient.contains(where: sample.error.contains) { continue }
            let isEqual = rendered.map { Array($0.utf8) } == sample.output.map { Array($0.utf8) }
            #expect(isEqual, "\(sample.name): \(failure) \(sample.error)")
            if isEqual { agreeing += 1 }
        }
        print("\(agreeing) renderings of \(templates.count) templates agree with Jinja 2")
        #expect(templates.count > 60)
    }
}
