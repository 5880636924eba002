#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#elseif canImport(Darwin)
internal import Darwin
#endif

/// A moment in the machine's time zone, for templates that tell the model today's date.
struct CalendarTime {
    var year = 1970
    /// From 1.
    var month = 1
    var day = 1
    var hour = 0
    var minute = 0
    var second = 0
    /// From 0, Sunday.
    var weekday = 4
    /// From 1.
    var dayOfYear = 1

    init(secondsSince1970: Int) {
        var seconds = time_t(secondsSince1970)
        var parts = tm()
        guard localtime_r(&seconds, &parts) != nil else { return }
        year = Int(parts.tm_year) + 1900
        month = Int(parts.tm_mon) + 1
        day = Int(parts.tm_mday)
        hour = Int(parts.tm_hour)
        minute = Int(parts.tm_min)
        second = Int(parts.tm_sec)
        weekday = Int(parts.tm_wday)
        dayOfYear = Int(parts.tm_yday) + 1
    }

    /// Seconds since 1970, now.
    static var now: Int { Int(time(nil)) }

    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
    ]
    private static let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]

    /// The moment laid out as C's `strftime` does it in English; letters that are not known stay as they are.
    func text(_ format: String) -> String {
        var output = ""
        var scalars = format.unicodeScalars[...]
        while let scalar = scalars.popFirst() {
            guard scalar == "%", var letter = scalars.popFirst() else {
                output.unicodeScalars.append(scalar)
                continue
            }
            // `%-d`: without leading zeros.
            var isPadded = true
            if letter == "-", let next = scalars.popFirst() {
                isPadded = false
                letter = next
            }
            output += part(letter, isPadded: isPadded)
        }
        return output
    }

    private func part(_ letter: Unicode.Scalar, isPadded: Bool) -> String {
        func digits(_ number: Int, _ width: Int = 2) -> String {
            let text = String(number)
            return isPadded ? String(repeating: "0", count: max(0, width - text.count)) + text : text
        }
        let monthName = Self.months.indices.contains(month - 1) ? Self.months[month - 1] : ""
        let dayName = Self.days.indices.contains(weekday) ? Self.days[weekday] : ""
        switch letter {
        case "Y": return String(year)
        case "y": return digits(year % 100)
        case "m": return digits(month)
        case "d": return digits(day)
        case "e": return day < 10 ? " \(day)" : "\(day)"
        case "B": return monthName
        case "b", "h": return String(monthName.prefix(3))
        case "A": return dayName
        case "a": return String(dayName.prefix(3))
        case "H": return digits(hour)
        case "I": return digits((hour + 11) % 12 + 1)
        case "M": return digits(minute)
        case "S": return digits(second)
        case "p": return hour < 12 ? "AM" : "PM"
        case "j": return digits(dayOfYear, 3)
        case "w": return String(weekday)
        case "u": return String((weekday + 6) % 7 + 1)
        case "F": return "\(digits(year, 4))-\(digits(month))-\(digits(day))"
        case "T": return "\(digits(hour)):\(digits(minute)):\(digits(second))"
        case "R": return "\(digits(hour)):\(digits(minute))"
        case "D": return "\(digits(month))/\(digits(day))/\(digits(year % 100))"
        case "n": return "\n"
        case "t": return "\t"
        case "%": return "%"
        default: return "%" + String(Character(letter))
        }
    }
}
