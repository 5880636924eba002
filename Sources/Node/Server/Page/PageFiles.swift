// swift-format-ignore-file
// Made by scripts/make-page from the files in Sources/Node/Server/Page/Files; what is written here by hand is lost.

extension PageFile {
    static let all = [
PageFile(path: "/page/icon.svg", type: "image/svg+xml", digest: "ef9e746330a1e32e", text: #"""
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
  <rect width="32" height="32" rx="7" fill="#0b5c86"/>
  <g fill="#fff">
    <rect x="7" y="8" width="18" height="4" rx="2"/>
    <rect x="7" y="14" width="12" height="4" rx="2"/>
    <rect x="7" y="20" width="15" height="4" rx="2"/>
  </g>
</svg>

"""#),
PageFile(path: "/index.html", type: "text/html; charset=utf-8", digest: "335fca8574f060ee", text: #"""
<!doctype html>

"""#),
    ]
}
