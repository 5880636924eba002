// A program that lends its machine to llama.cpp heads while it runs.
//   swift run -c release embedded-worker
//   llama-server -m model.gguf -ngl 99 --rpc 127.0.0.1:50052
import Logging
import Node
import ServiceLifecycle

var options = WorkerOptions()
options.limits.memory = 4 << 30
options.threads = 2
let worker = try Worker(options, logger: Logger(label: "worker"))
print("listening on \(worker.addresses.joined(separator: ", "))")
let group = ServiceGroup(services: [worker], gracefulShutdownSignals: [.sigterm, .sigint], logger: Logger(label: "group"))
try await group.run()
