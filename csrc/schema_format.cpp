#include "schema_format.h"

#include "schema_number.h"

#include <algorithm>
#include <map>

namespace luup {

namespace {

using Json = nlohmann::ordered_json;

int digits(const std::string & text, size_t at, size_t n) {
    return std::stoi(text.substr(at, n));
}

bool is_date(const std::string & text) {
    const int  year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
    const bool leap     = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    const int  days[13] = { 0, 31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    return month >= 1 && month <= 12 && day >= 1 && day <= days[month];
}

// hh:mm:ss[.f]offset; second 60 only where it is 23:59 in UTC.
bool is_time(const std::string & text) {
    const int hour = digits(text, 0, 2), minute = digits(text, 3, 2), second = digits(text, 6, 2);
    int       offset = 0;
    if (text.back() != 'Z' && text.back() != 'z') {
        const size_t at    = text.size() - 6;
        const int    hours = digits(text, at + 1, 2), minutes = digits(text, at + 4, 2);
        if (hours > 23 || minutes > 59) {
            return false;
        }
        offset = (hours * 60 + minutes) * (text[at] == '-' ? -1 : 1);
    }
    if (hour > 23 || minute > 59 || second > 60) {
        return false;
    }
    const int utc = ((hour * 60 + minute - offset) % 1440 + 1440) % 1440;
    return second < 60 || utc == 1439;
}

bool is_date_time(const std::string & text) {
    return is_date(text) && is_time(text.substr(11));
}

const std::string day       = "(0[1-9]|1[0-9]|2[0-8])";
const std::string month_day = "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-" + day + ")";
const std::string some_date = "(19|20)[0-9]{2}-" + month_day;
const std::string some_time = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])";
const std::string any_time  = "[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})";
const std::string any_date  = "[0-9]{4}-[0-9]{2}-[0-9]{2}";

const std::string octet = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const std::string ipv4  = octet + "(\\." + octet + "){3}";
const std::string h16   = "[0-9A-Fa-f]{1,4}";

// "::" may stand for one group or more; the last two groups may be an IPv4 address.
std::string ipv6() {
    const std::string last = "(" + h16 + ":" + h16 + "|" + ipv4 + ")";
    std::string       out  = "(" + h16 + ":){6}" + last;
    for (int n = 0; n <= 5; n++) {  // groups behind "::" and before the last two
        const std::string before = "(" + h16 + "(:" + h16 + "){0," + std::to_string(4 - n < 0 ? 0 : 4 - n) + "})?";
        out += "|" + (n == 5 ? std::string() : before) + "::(" + h16 + ":){" + std::to_string(n) + "}" + last;
    }
    out += "|(" + h16 + "(:" + h16 + "){0,5})?::" + h16 + "|(" + h16 + "(:" + h16 + "){0,6})?::";
    return "(" + out + ")";
}

std::string ipv6_generated() {
    std::string out = "(" + h16 + ":){7}" + h16 + "|::(" + h16 + "(:" + h16 + "){0,5})?";
    for (int n = 1; n <= 5; n++) {
        out += "|" + h16 + "(:" + h16 + "){" + std::to_string(n - 1) + "}::(" + h16 + "(:" + h16 + "){0," + std::to_string(5 - n) + "})?";
    }
    return "(" + out + ")";
}

const std::string label = "[a-z0-9]{1,20}(-[a-z0-9]{1,12})?";
const std::string host  = "(" + label + "\\.){1,3}[a-z]{2,10}";

const std::string atext     = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]";
const std::string any_label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
const std::string any_email = "(" + atext + "+(\\." + atext + "+)*|\"([ !#-\\[\\]-~]|\\\\[ -~])*\")@(" + any_label + "(\\." + any_label + ")*|\\[" + ipv4 +
                              "\\]|\\[IPv6:" + ipv6() + "\\])";

// RFC 3986 and, with `more` characters, RFC 3987.
std::string any_uri(bool relative, const std::string & more) {
    const std::string hex = "%[0-9A-Fa-f]{2}", letters = "A-Za-z0-9._~" + more + "!$&'()*+,;=\\-";
    const std::string pchar = "([" + letters + ":@]|" + hex + ")", bare = "([" + letters + "@]|" + hex + ")";
    const std::string literal   = "\\[(" + ipv6() + "|v[0-9A-Fa-f]+\\.[" + letters + ":]+)\\]";
    const std::string authority = "(([" + letters + ":]|" + hex + ")*@)?(" + literal + "|([" + letters + "]|" + hex + ")*)(:[0-9]*)?";
    const std::string rooted    = "//" + authority + "(/" + pchar + "*)*|/(" + pchar + "+(/" + pchar + "*)*)?";
    const std::string absolute  = "[A-Za-z][A-Za-z0-9+.-]*:(" + rooted + "|" + pchar + "+(/" + pchar + "*)*|)";
    const std::string path      = relative ? "(" + absolute + "|" + rooted + "|" + bare + "+(/" + pchar + "*)*|)" : absolute;
    return path + "(\\?(" + pchar + "|[/?])*)?(#(" + pchar + "|[/?])*)?";
}

const std::string beyond = "\\u00a0-\\ud7ff\\uf900-\\ufdcf\\ufdf0-\\uffef\\u{10000}-\\u{efffd}";

const std::string some_path = "(/[A-Za-z0-9._~\\-]{0,40}){0,4}(\\?[A-Za-z0-9._~&=\\-]{1,60})?(#[A-Za-z0-9._~\\-]{1,30})?";
const std::string some_uri  = "https?://" + host + "(:[1-9][0-9]{1,3})?" + some_path;

const std::string json_pointer = "(/([^/~]|~[01])*)*";

// RFC 3339, appendix A.
const std::string dur_time      = "T([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)?|[0-9]+S)";
const std::string dur_date      = "([0-9]+Y([0-9]+M([0-9]+D)?)?|[0-9]+M([0-9]+D)?|[0-9]+D)";
const std::string any_duration  = "P(" + dur_date + "(" + dur_time + ")?|" + dur_time + "|[0-9]+W)";
const std::string some_time_of  = "T([0-9]{1,3}H([0-9]{1,3}M([0-9]{1,3}S)?)?|[0-9]{1,3}M([0-9]{1,3}S)?|[0-9]{1,4}S)";
const std::string some_duration = "P([0-9]{1,4}D(" + some_time_of + ")?|" + some_time_of + "|[0-9]{1,3}W)";

std::string uuid(const std::string & version, const std::string & variant) {
    const std::string x = "[0-9a-f]";
    return x + "{8}-" + x + "{4}-" + version + x + "{3}-" + variant + x + "{3}-" + x + "{12}";
}

std::shared_ptr<const Pattern> whole(const std::string & body) {
    return std::make_shared<const Pattern>("^(" + body + ")$");
}

Format make(const std::string & generated, const std::string & valid, const char * example, bool (*check)(const std::string &) = nullptr) {
    Format f;
    f.generated = whole(generated);
    f.valid     = valid == generated ? f.generated : valid.empty() ? nullptr
                                                                   : whole(valid);
    f.check     = check;
    f.example   = example;
    return f;
}

void add_times(std::map<std::string, Format> & all) {
    all["date"]      = make(some_date, any_date, "2024-01-31", is_date);
    all["time"]      = make(some_time, any_time, "13:45:00Z", is_time);
    all["date-time"] = make(some_date + "T" + some_time, any_date + "[Tt]" + any_time, "2024-01-31T13:45:00Z", is_date_time);
    all["duration"]  = make(some_duration, any_duration, "P1DT2H30M");
}

void add_uuids(std::map<std::string, Format> & all) {
    const std::string x = "[0-9A-Fa-f]";
    all["uuid"]         = make(uuid("[1-8]", "[89ab]"), x + "{8}-(" + x + "{4}-){3}" + x + "{12}", "123e4567-e89b-42d3-a456-426614174000");
    for (const char version : { '1', '3', '4', '5', '6', '7', '8' }) {
        const std::string v = std::string(1, version);
        Format            format =
            make(uuid(v, "[89ab]"), x + "{8}-" + x + "{4}-" + v + x + "{3}-[89ABab]" + x + "{3}-" + x + "{12}", "123e4567-e89b-42d3-a456-426614174000");
        format.example[14]           = version;
        all[std::string("uuid") + v] = format;
    }
}

void add_addresses(std::map<std::string, Format> & all) {
    all["ipv4"] = make(ipv4, ipv4, "192.0.2.1");
    all["ipv6"] = make(ipv6_generated(), ipv6(), "2001:db8::1");
    // Pydantic's: networks without bits behind the mask.
    const std::string network =
        "(" + octet + "\\.0\\.0\\.0/8|" + octet + "\\." + octet + "\\.0\\.0/16|" + octet + "\\." + octet + "\\." + octet + "\\.0/24|" + ipv4 + "/32)";
    for (const char * name : { "ipv4network", "ipvanynetwork" }) {
        all[name] = make(network, "", "192.0.2.0/24");
    }
    for (const char * name : { "ipv4interface", "ipvanyinterface" }) {
        all[name] = make(ipv4 + "/([12]?[0-9]|3[0-2])", "", "192.0.2.1/24");
    }
    all["ipv6network"]   = make(h16 + ":" + h16 + "::/32", "", "2001:db8::/32");
    all["ipv6interface"] = make(ipv6_generated() + "/([1-9]?[0-9]|1[01][0-9]|12[0-8])", "", "2001:db8::1/32");
    all["ipvanyaddress"] = make(ipv4, "", "192.0.2.1");
}

void add_names(std::map<std::string, Format> & all) {
    const std::string email = "[a-z0-9]{1,20}([._+-][a-z0-9]{1,20}){0,3}@" + host;
    all["email"]            = make(email, any_email, "name@example.com");
    all["idn-email"]        = make(email, "[^@\\s]+@[^@\\s]+", "name@example.com");
    all["name-email"]       = make(email, "", "name@example.com");
    all["hostname"]         = make(host, "", "www.example.com");
    all["idn-hostname"]     = make(host, "", "www.example.com");
    // Names for special use are refused by validators of mail addresses.
    for (const char * name : { "email", "idn-email", "name-email" }) {
        all[name].forbidden = { std::make_shared<const Pattern>("[.@](test|local|localhost|invalid|arpa|onion|example)$") };
    }
    all["uri"]                   = make(some_uri, any_uri(false, ""), "https://example.com/");
    all["iri"]                   = make(some_uri, any_uri(false, beyond), "https://example.com/");
    all["uri-reference"]         = make("(" + some_uri + "|/[A-Za-z0-9._~\\-]{1,40}" + some_path + ")", any_uri(true, ""), "/path?query");
    all["iri-reference"]         = make("(" + some_uri + "|/[A-Za-z0-9._~\\-]{1,40}" + some_path + ")", any_uri(true, beyond), "/path?query");
    all["uri-template"]          = make(some_uri + "(/\\{[a-z]{1,20}\\})?", "", "https://example.com/{name}");
    all["json-pointer"]          = make("(/[A-Za-z0-9_-]{0,40}){0,8}", json_pointer, "/a/0");
    all["relative-json-pointer"] = make("(0|[1-9][0-9]?)(#|(/[A-Za-z0-9_-]{0,40}){0,8})", "(0|[1-9][0-9]*)(#|" + json_pointer + ")", "1/a");
    all["regex"]                 = make("\\^?([A-Za-z0-9 _-]|\\\\[dws][*+]?|\\[a-z\\][*+]?){1,40}\\$?", "", "^[a-z]+$");
}

// Bytes below 128 are generated: what is read as text is some then.
void add_base64(std::map<std::string, Format> & all) {
    const std::string first = "[A-Za-f]", second = "[A-HQ-Xg-nw-z0-3]", third = "[ABEFIJMNQRUVYZcdghklopstwx014589]";
    for (const bool url : { false, true }) {
        const std::string any             = url ? "[A-Za-z0-9_-]" : "[A-Za-z0-9+/]";
        const std::string some            = "(" + first + second + third + any + "){0,40}(" + first + "[AQgw]==|" + first + second + "[AEIMQUYcgkosw048]=)?";
        all[url ? "base64url" : "base64"] = make(some, "(" + any + "{4})*(" + any + "{2}==|" + any + "{3}=)?", "Zm9vYg==");
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

bool equal_json(const Json & a, const Json & b) {
    if (a.is_number() && b.is_number()) {
        return compare_numbers(a, b) == 0;
    }
    if (a.type() != b.type() || a.size() != b.size()) {
        return false;
    }
    if (a.is_array()) {
        return std::equal(a.begin(), a.end(), b.begin(), equal_json);
    }
    if (a.is_object()) {
        for (const auto & [key, value] : a.items()) {
            const auto it = b.find(key);
            if (it == b.end() || !equal_json(value, *it)) {
                return false;
            }
        }
        return true;
    }
    return a == b;
}

std::string canonical_json(const Json & value) {
    if (value.is_number_float() && is_integral(value)) {
        return Decimal::from(value).negative ? "-" + Decimal::from(value).whole : Decimal::from(value).whole;
    }
    if (value.is_array()) {
        std::string out = "[";
        for (const Json & item : value) {
            out += canonical_json(item) + ",";
        }
        return out + "]";
    }
    if (value.is_object()) {
        std::map<std::string, std::string> sorted;
        for (const auto & [key, item] : value.items()) {
            sorted[key] = canonical_json(item);
        }
        std::string out = "{";
        for (const auto & [key, text] : sorted) {
            out += Json(key).dump() + ":" + text + ",";
        }
        return out + "}";
    }
    return value.dump();
}

}  // namespace luup
