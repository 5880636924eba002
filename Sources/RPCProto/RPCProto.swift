// ggml's RPC wire: messages, versions, the client (a Backend) and the server session (which drives one). Nothing is here
// yet; the module stands so that the layers above can name it.
