#include "schema/format.h"

#include <algorithm>
#include <map>

namespace luup {

namespace {

int digits(const std::string & text, size_t at, size_t n) {
    return std::stoi(text.substr(at, n));
}

bool is_date(const std::string & text) {
    const int  year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
    const bool leap     = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    const int  days[13] = { 0, 31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= days[month];  // as Python's dates
}

// hh:mm[:ss[.f]][offset]. A leap second, 60, is valid only at 23:59 UTC.
bool is_time(const std::string & text) {
    const bool   has_second = text.size() > 5 && text[5] == ':';
    const int    hour = digits(text, 0, 2), minute = digits(text, 3, 2), second = has_second ? digits(text, 6, 2) : 0;
    int          offset = 0;
    const size_t sign   = text.find_first_of("+-");
    if (sign != std::string::npos) {
        const int hours = digits(text, sign + 1, 2), minutes = digits(text, text.size() - 2, 2);
        if (hours > 23 || minutes > 59) {
            return false;
        }
        offset = (hours * 60 + minutes) * (text[sign] == '-' ? -1 : 1);
    }
    if (hour > 23 || minute > 59 || second > 60) {
        return false;
    }
    const int utc = ((hour * 60 + minute - offset) % 1440 + 1440) % 1440;
    return second < 60 || utc == 1439;
}

bool is_date_time(const std::string & text) {
    return is_date(text) && (text.size() == 10 || is_time(text.substr(11)));
}

const std::string day = "(0[1-9]|1[0-9]|2[0-8])";
const std::string month_day =
    "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-" + day + ")";
const std::string year      = "([0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)";
const std::string four      = "(0[48]|[2468][048]|[13579][26])";
const std::string leap_year = "([0-9]{2}" + four + "|" + four + "00)";
const std::string some_date = "(" + year + "-" + month_day + "|" + leap_year + "-02-29)";
// Offsets and seconds may be left out: a model must not invent them, and pydantic reads times without them.
const std::string some_time =
    "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,6})?)?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])?";
const std::string any_time = "[0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]+)?)?([Zz]|[+-][0-9]{2}:?[0-9]{2})?";
const std::string any_date = "[0-9]{4}-[0-9]{2}-[0-9]{2}";

const std::string octet = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const std::string ipv4  = octet + "(\\." + octet + "){3}";
const std::string h16   = "[0-9A-Fa-f]{1,4}";

// "::" replaces one group or more; the last two groups may be an IPv4 address.
std::string ipv6() {
    const std::string last = "(" + h16 + ":" + h16 + "|" + ipv4 + ")";
    std::string       out  = "(" + h16 + ":){6}" + last;
    for (int n = 0; n <= 5; n++) {  // groups between "::" and the last two
        const std::string before = "(" + h16 + "(:" + h16 + "){0," + std::to_string(4 - n < 0 ? 0 : 4 - n) + "})?";
        out += "|" + (n == 5 ? std::string() : before) + "::(" + h16 + ":){" + std::to_string(n) + "}" + last;
    }
    out += "|(" + h16 + "(:" + h16 + "){0,5})?::" + h16 + "|(" + h16 + "(:" + h16 + "){0,6})?::";
    return "(" + out + ")";
}

std::string ipv6_generated() {
    std::string out = "(" + h16 + ":){7}" + h16 + "|::(" + h16 + "(:" + h16 + "){0,5})?";
    for (int n = 1; n <= 5; n++) {
        out += "|" + h16 + "(:" + h16 + "){" + std::to_string(n - 1) + "}::(" + h16 + "(:" + h16 + "){0," +
               std::to_string(5 - n) + "})?";
    }
    return "(" + out + ")";
}

// The networks of each length: the bits behind it are 0.
std::string ipv4_network() {
    std::string out;
    for (int length = 0; length <= 32; length++) {
        std::string address;
        for (int at = 0; at < 32; at += 8) {
            const int   fixed = std::min(std::max(length - at, 0), 8), unit = 1 << (8 - fixed);
            std::string values;
            for (int value = 0; value < 256 && fixed < 8; value += unit) {
                values += (value > 0 ? "|" : "") + std::to_string(value);
            }
            address += (at > 0 ? "\\." : "") + (fixed == 8 ? octet : "(" + values + ")");
        }
        out += (length > 0 ? "|" : "") + address + "/" + std::to_string(length);
    }
    return "(" + out + ")";
}

// Up to seven groups, and any length that covers them.
std::string ipv6_network() {
    std::string out = "::/([1-9]?[0-9]|1[01][0-9]|12[0-8])";
    for (int groups = 1; groups <= 7; groups++) {
        std::string lengths;
        for (int length = 16 * groups; length <= 128; length++) {
            lengths += (lengths.empty() ? "" : "|") + std::to_string(length);
        }
        out += "|" + h16 + "(:" + h16 + "){" + std::to_string(groups - 1) + "}::/(" + lengths + ")";
    }
    return "(" + out + ")";
}

// Labels of at most 63 characters, and never two hyphens one after the other: "xn--" has a meaning.
const std::string label = "[A-Za-z0-9](-?[A-Za-z0-9]){0,31}";
const std::string tld   = "[a-z]{2,24}";
const std::string host  = "([A-Za-z0-9](-?[A-Za-z0-9])*\\.)+" + tld;

const std::string atext     = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]";
const std::string any_label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
const std::string any_email = "(" + atext + "+(\\." + atext + "+)*|\"([ !#-\\[\\]-~]|\\\\[ -~])*\")@(" + any_label +
                              "(\\." + any_label + ")*|\\[" + ipv4 + "\\]|\\[IPv6:" + ipv6() + "\\])";

// RFC 3986, or RFC 3987 if `more` has its additional characters.
std::string any_uri(bool relative, const std::string & more) {
    const std::string hex = "%[0-9A-Fa-f]{2}", letters = "A-Za-z0-9._~" + more + "!$&'()*+,;=\\-";
    const std::string pchar = "([" + letters + ":@]|" + hex + ")", bare = "([" + letters + "@]|" + hex + ")";
    const std::string literal = "\\[(" + ipv6() + "|v[0-9A-Fa-f]+\\.[" + letters + ":]+)\\]";
    const std::string authority =
        "(([" + letters + ":]|" + hex + ")*@)?(" + literal + "|([" + letters + "]|" + hex + ")*)(:[0-9]*)?";
    const std::string rooted   = "//" + authority + "(/" + pchar + "*)*|/(" + pchar + "+(/" + pchar + "*)*)?";
    const std::string absolute = "[A-Za-z][A-Za-z0-9+.-]*:(" + rooted + "|" + pchar + "+(/" + pchar + "*)*|)";
    const std::string path = relative ? "(" + absolute + "|" + rooted + "|" + bare + "+(/" + pchar + "*)*|)" : absolute;
    return path + "(\\?(" + pchar + "|[/?])*)?(#(" + pchar + "|[/?])*)?";
}

const std::string beyond = "\\u00a0-\\ud7ff\\uf900-\\ufdcf\\ufdf0-\\uffef\\u{10000}-\\u{efffd}";

const std::string some_char = "([A-Za-z0-9._~!$&'()*+,;=:@\\-]|%[0-9A-Fa-f]{2})";
const std::string some_path = "(/" + some_char + "*)*(\\?(" + some_char + "|[/?])*)?(#(" + some_char + "|[/?])*)?";
const std::string some_uri =
    "https?://(" + host + "|localhost|" + ipv4 + ")(:[1-9][0-9]{1,3}|:[1-5][0-9]{4})?" + some_path;

const std::string json_pointer = "(/([^/~]|~[01])*)*";

// ISO 8601, with a sign and fractions of seconds: what pydantic writes and reads. `bounded`: no more digits than
// Python's timedelta can hold.
std::string duration(bool bounded) {
    const auto number = [&](const char * unit, int most) {
        return "[0-9]" + (bounded ? "{1," + std::to_string(most) + "}" : "+") + unit;
    };
    const auto        maybe = [](const std::string & part) { return "(" + part + ")?"; };
    const std::string years = number("Y", 5), months = number("M", 6), days = number("D", 8), weeks = number("W", 7),
                      hours = number("H", 6), minutes = number("M", 7),
                      seconds = number("", 9) + "(\\.[0-9]" + (bounded ? "{1,6}" : "+") + ")?S";
    const std::string time =
        "T(" + hours + maybe(minutes) + maybe(seconds) + "|" + minutes + maybe(seconds) + "|" + seconds + ")";
    const std::string date = "(" + years + maybe(months) + maybe(days) + "|" + months + maybe(days) + "|" + days + ")";
    return (bounded ? "-?P(" : "[-+]?P(") + date + maybe(time) + "|" + time + "|" + weeks + ")";
}

std::string uuid(const std::string & version, const std::string & variant) {
    const std::string x = "[0-9a-f]";
    return x + "{8}-" + x + "{4}-" + version + x + "{3}-" + variant + x + "{3}-" + x + "{12}";
}

std::shared_ptr<const Pattern> whole(const std::string & body) {
    return std::make_shared<const Pattern>("^(" + body + ")$");
}

Format make(const std::string & generated, const std::string & valid, const char * example,
            bool (*check)(const std::string &) = nullptr) {
    Format f;
    f.generated = whole(generated);
    f.valid     = valid == generated ? f.generated : valid.empty() ? nullptr : whole(valid);
    f.check     = check;
    f.example   = example;
    return f;
}

void add_times(std::map<std::string, Format> & all) {
    all["date"] = make(some_date, any_date, "2024-01-31", is_date);
    all["time"] = make(some_time, any_time, "13:45:00", is_time);
    all["date-time"] =
        make(some_date + "T" + some_time, any_date + "([Tt _]" + any_time + ")?", "2024-01-31T13:45:00", is_date_time);
    all["duration"] = make(duration(true), duration(false), "P1DT2H30M");
}

void add_uuids(std::map<std::string, Format> & all) {
    const std::string x = "[0-9A-Fa-f]";
    all["uuid"]         = make(uuid("[1-8]", "[89ab]"), x + "{8}-(" + x + "{4}-){3}" + x + "{12}",
                               "123e4567-e89b-42d3-a456-426614174000");
    for (const char version : { '1', '3', '4', '5', '6', '7', '8' }) {
        const std::string v = std::string(1, version);
        Format            format =
            make(uuid(v, "[89ab]"), x + "{8}-" + x + "{4}-" + v + x + "{3}-[89ABab]" + x + "{3}-" + x + "{12}",
                 "123e4567-e89b-42d3-a456-426614174000");
        format.example[14]           = version;
        all[std::string("uuid") + v] = format;
    }
}

void add_addresses(std::map<std::string, Format> & all) {
    all["ipv4"] = make(ipv4, ipv4, "192.0.2.1");
    all["ipv6"] = make(ipv6_generated(), ipv6(), "2001:db8::1");
    // Pydantic's formats: networks must have no bits set beyond the mask.
    for (const char * name : { "ipv4network", "ipvanynetwork" }) {
        all[name] = make(ipv4_network(), "", "192.0.2.0/24");
    }
    for (const char * name : { "ipv4interface", "ipvanyinterface" }) {
        all[name] = make(ipv4 + "/([12]?[0-9]|3[0-2])", "", "192.0.2.1/24");
    }
    all["ipv6network"]   = make(ipv6_network(), "", "2001:db8::/32");
    all["ipv6interface"] = make(ipv6_generated() + "/([1-9]?[0-9]|1[01][0-9]|12[0-8])", "", "2001:db8::1/32");
    all["ipvanyaddress"] = make(ipv4, "", "192.0.2.1");
}

void add_names(std::map<std::string, Format> & all) {
    const std::string email = "[A-Za-z0-9]([._+-]?[A-Za-z0-9]){0,31}@(" + label + "\\.)+" + tld;
    all["email"]            = make(email, any_email, "name@example.com");
    all["idn-email"]        = make(email, "[^@\\s]+@[^@\\s]+", "name@example.com");
    all["name-email"]       = make(email, "", "name@example.com");
    all["hostname"]         = make(host, "", "www.example.com");
    all["idn-hostname"]     = make(host, "", "www.example.com");
    // Validators of mail addresses reject special-use domain names (RFC 6761).
    for (const char * name : { "email", "idn-email", "name-email" }) {
        all[name].forbidden = { std::make_shared<const Pattern>(
            "[.@](test|local|localhost|invalid|arpa|onion|example)$") };
    }
    all["uri"] = make(some_uri, any_uri(false, ""), "https://example.com/");
    all["iri"] = make(some_uri, any_uri(false, beyond), "https://example.com/");
    all["uri-reference"] =
        make("(" + some_uri + "|/[A-Za-z0-9._~\\-]+" + some_path + ")", any_uri(true, ""), "/path?query");
    all["iri-reference"] =
        make("(" + some_uri + "|/[A-Za-z0-9._~\\-]+" + some_path + ")", any_uri(true, beyond), "/path?query");
    all["uri-template"] = make(some_uri + "(/\\{[a-z]{1,20}\\})?", "", "https://example.com/{name}");
    all["json-pointer"] = make(json_pointer, json_pointer, "/a/0");
    all["relative-json-pointer"] =
        make("(0|[1-9][0-9]*)(#|" + json_pointer + ")", "(0|[1-9][0-9]*)(#|" + json_pointer + ")", "1/a");
    all["regex"] = make("\\^?([A-Za-z0-9 _-]|\\\\[dws][*+]?|\\[a-z\\][*+]?)+\\$?", "", "^[a-z]+$");
}

// Only bytes below 128 are generated, so that the decoded bytes are valid as text.
void add_base64(std::map<std::string, Format> & all) {
    const std::string first = "[A-Za-f]", second = "[A-HQ-Xg-nw-z0-3]", third = "[ABEFIJMNQRUVYZcdghklopstwx014589]";
    for (const bool url : { false, true }) {
        const std::string any = url ? "[A-Za-z0-9_-]" : "[A-Za-z0-9+/]";
        const std::string some =
            "(" + first + second + third + any + ")*(" + first + "[AQgw]==|" + first + second + "[AEIMQUYcgkosw048]=)?";
        all[url ? "base64url" : "base64"] =
            make(some, "(" + any + "{4})*(" + any + "{2}==|" + any + "{3}=)?", "Zm9vYg==");
    }
}

std::map<std::string, Format> make_formats() {
    std::map<std::string, Format> all;
    add_times(all);
    add_uuids(all);
    add_addresses(all);
    add_names(all);
    add_base64(all);
    return all;
}

}  // namespace

const Format * find_format(const std::string & name) {
    static const std::map<std::string, Format> formats = make_formats();
    const auto                                 found   = formats.find(name);
    return found == formats.end() ? nullptr : &found->second;
}

bool is_valid_format(const Format & format, const std::string & text) {
    return !format.valid || (format.valid->search(text) && (format.check == nullptr || format.check(text)));
}

}  // namespace luup
