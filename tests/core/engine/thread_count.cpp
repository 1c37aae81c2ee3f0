// The number of threads on machines that grant more or less.
#include "check.h"
#include "engine/thread_count.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

using namespace luup;

namespace {

// The time of one decode with a number of threads, and how much of it the calling thread computes.
struct Decode {
    double wall;
    double share;
};

using Machine = std::function<Decode(int32_t threads)>;

// Lets `count` choose for `seconds` of decodes. Returns the decodes per second.
double decode_for(ThreadCount & count, double seconds, const Machine & machine) {
    double now = 0, decodes = 0;
    for (; now < seconds; decodes++) {
        const Decode decode = machine(count.count());
        count.record(1, decode.wall, decode.wall * decode.share, 0);
        now += decode.wall;
    }
    return decodes / now;
}

Machine steady(const std::vector<double> & rates, const std::vector<double> & shares) {
    return [=](int32_t threads) {
        const size_t at = static_cast<size_t>(threads) - 1;
        return Decode{ 1 / rates[at], shares[at] };
    };
}

}  // namespace

CASE(a_quiet_machine_computes_with_all_threads) {
    ThreadCount count(2);
    CHECK(count.count() == 2);
    for (int i = 0; i < 1000; i++) {
        count.record(1, 0.005, 0.0049, 0);
        CHECK(count.count() == 2);
    }
}

CASE(a_fixed_number_of_threads_stays) {
    ThreadCount count(4, true);
    for (int i = 0; i < 1000; i++) {
        count.record(1, 0.05, 0.005, i % 100 == 0 ? 60 : 0);
        CHECK(count.count() == 4);
    }
}

CASE(the_numbers_of_threads_to_choose_from_reach_one) {
    for (int32_t most = 1; most <= 512; most++) {
        ThreadCount count(most);
        CHECK(count.count() == most);
        // Each thread more makes it slower, so that one is best.
        const Machine machine = [](int32_t n) { return Decode{ 0.001 * n, n > 1 ? 0.5 : 1.0 }; };
        decode_for(count, 10, machine);
        CHECK(decode_for(count, 10, machine) > 900);
    }
}

CASE(a_busy_machine_computes_with_fewer_threads_until_it_is_quiet) {
    const Machine busy  = steady({ 58, 21 }, { 0.4, 0.3 });
    const Machine quiet = steady({ 135, 210 }, { 1.0, 0.99 });
    ThreadCount   count(2);
    for (int i = 0; i < 5; i++) {
        decode_for(count, 1, busy);
        CHECK(decode_for(count, 10, busy) > 0.9 * 58);
        decode_for(count, 1, quiet);
        CHECK(decode_for(count, 10, quiet) > 0.98 * 210);
    }
}

CASE(a_machine_that_rested_may_be_another_one) {
    ThreadCount count(2);
    decode_for(count, 60, steady({ 58, 21 }, { 0.4, 0.3 }));
    CHECK(count.count() == 1);
    count.record(1, 1 / 135.0, 1 / 135.0, 30);
    decode_for(count, 2, steady({ 135, 210 }, { 1.0, 0.99 }));
    CHECK(count.count() == 2);
}

// Between the short answers of a conversation a person reads and writes.
CASE(short_answers_cost_few_trials) {
    for (const Machine & machine : { steady({ 58, 6 }, { 0.4, 0.2 }), steady({ 190, 30 }, { 1.0, 0.3 }) }) {
        ThreadCount count(2);
        decode_for(count, 5, machine);
        double seconds = 0, decodes = 0;
        for (int answer = 0; answer < 40; answer++) {
            for (int token = 0; token < 32; token++, decodes++) {
                const Decode decode = machine(count.count());
                count.record(1, decode.wall, decode.wall * decode.share, token == 0 ? 5 : 0);
                seconds += decode.wall;
            }
        }
        CHECK(decodes / seconds > 0.85 / machine(1).wall);
    }
}

// The processor time of 100 ms is used up after a part of them, and all threads stop until the next.
CASE(a_quota_of_processor_time_is_worth_most_in_one_thread) {
    for (double quota : { 0.5, 1.0 }) {
        double        now     = 0;
        double        used    = 0;
        const Machine machine = [&](int32_t threads) {
            const double busy = threads == 1 ? 1 / 135.0 : 1 / 210.0;
            double       wall = busy;
            used += busy * threads;
            const double period = std::floor(now / 0.1);
            if (used > quota * 0.1) {
                wall = std::max(busy, (period + 1) * 0.1 - now);
                used = 0;
            } else if (std::floor((now + wall) / 0.1) > period) {
                used = 0;
            }
            now += wall;
            return Decode{ wall, busy / wall };
        };
        ThreadCount count(2);
        decode_for(count, 2, machine);
        CHECK(decode_for(count, 30, machine) > 0.9 * std::min(quota, 1.0) * 135);
    }
}

// Whatever a machine grants, no fixed number of threads is much better.
CASE(the_number_of_threads_follows_any_machine) {
    std::mt19937 random(1);
    for (int i = 0; i < 300; i++) {
        const int32_t       most = 1 + static_cast<int32_t>(random() % 16);
        std::vector<double> rates, shares;
        // Faster up to a number of threads, then slower; the share says so.
        const double peak = 1 + static_cast<double>(random() % 16),
                     fall = 0.5 + static_cast<double>(random() % 16) / 10;
        for (int32_t n = 1; n <= most; n++) {
            const bool over = n > peak;
            rates.push_back(100 * (over ? std::pow(peak, 0.8) * std::pow(peak / n, fall) : std::pow(n, 0.8)));
            shares.push_back(over ? 0.9 * peak / n : 0.99);
        }
        const Machine exact = steady(rates, shares);
        const Machine noisy = [&](int32_t n) {
            Decode decode = exact(n);
            decode.wall *= 0.7 + 0.6 * static_cast<double>(random() % 1000) / 1000;
            return decode;
        };
        ThreadCount count(most);
        decode_for(count, 5, noisy);
        CHECK(decode_for(count, 20, noisy) > 0.8 * *std::max_element(rates.begin(), rates.end()));
    }
}
