// What choosing tokens takes beside computing them: several sequences that write typed results at once.
//
//   luup-typed-bench MODEL SEQUENCES STEPS < works
//
// Each line of standard input is a JSON object: "prompt", "schema" (null for free text), "temperature", "top_k". For
// each a line comes out: the thread's processor seconds in llama_decode, those of choosing tokens, the tokens that were
// chosen, the number of decodes, and a hash of the tokens. An answer that is complete begins again, so all sequences
// are always at work.
#include "answer/guide.h"
#include "answer/output.h"
#include "base/json.h"
#include "engine/thread_count.h"

#include "ggml-backend.h"
#include "llama.h"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

using namespace luup;

namespace {

constexpr int32_t room = 1024;  // tokens of a sequence

struct Work {
    std::string              prompt;
    AnswerPlan               plan;
    Sampling                 sampling;
    std::vector<llama_token> tokens;  // of the prompt
};

struct Writer {
    llama_seq_id             id       = 0;
    int32_t                  position = 0;
    uint32_t                 answers  = 0;
    std::vector<llama_token> next;  // to be decoded
    std::unique_ptr<Guide>   guide;
    std::unique_ptr<Sampler> sampler;
    int32_t                  row = 0;  // of its logits in the batch
};

std::vector<llama_token> tokens_of(const llama_vocab * vocab, const std::string & text) {
    std::vector<llama_token> tokens(text.size() + 8);
    const int32_t            n = llama_tokenize(vocab, text.data(), static_cast<int32_t>(text.size()), tokens.data(),
                                                static_cast<int32_t>(tokens.size()), true, true);
    tokens.resize(static_cast<size_t>(n));
    return tokens;
}

Work read_work(const std::string & line, const llama_vocab * vocab) {
    const Json json = read_json(line, "a line of the input");
    Work       work;
    work.prompt               = json.at("prompt").get<std::string>();
    work.sampling.temperature = json.at("temperature").get<float>();
    work.sampling.top_k       = json.at("top_k").get<int32_t>();
    work.tokens               = tokens_of(vocab, work.prompt);
    if (!json.at("schema").is_null()) {
        const auto format        = make_output_format({ OutputSource::Kind::Schema, json.at("schema").dump() }, vocab);
        work.plan.output.grammar = format->grammar;
        work.plan.output.schema  = format->schema;
    }
    return work;
}

class Bench {
  public:
    Bench(llama_context * context, const llama_vocab * vocab, int32_t sequences)
        : context_(context),
          vocabulary_(std::make_shared<const Vocabulary>(vocab)),
          batch_(llama_batch_init(room, 0, sequences)),
          writers_(static_cast<size_t>(sequences)) {}
    ~Bench() { llama_batch_free(batch_); }
    Bench(const Bench &)             = delete;
    Bench & operator=(const Bench &) = delete;

    void run(const Work & work, int32_t steps) {
        llama_memory_clear(llama_get_memory(context_), true);
        hash_ = 1469598103934665603u;
        // The sequences share their prompt, and each computes its last token.
        Writer prompt;
        prompt.next.assign(work.tokens.begin(), work.tokens.end() - 1);
        decode({ &prompt });
        for (size_t i = 0; i < writers_.size(); i++) {
            Writer & writer = writers_[i] = {};
            writer.id                     = static_cast<llama_seq_id>(i);
            if (i > 0) {
                llama_memory_seq_cp(llama_get_memory(context_), 0, writer.id, -1, -1);
            }
        }
        for (Writer & writer : writers_) {
            begin(writer, work);
            decode({ &writer });
            choose(writer);
        }
        computing_ = choosing_ = 0;
        chosen_ = decodes_ = 0;
        std::vector<Writer *> all;
        for (Writer & writer : writers_) {
            all.push_back(&writer);
        }
        for (int32_t step = 0; step < steps; step++) {
            decode(all);
            for (Writer & writer : writers_) {
                if (!choose(writer)) {
                    begin(writer, work);
                }
            }
        }
        std::printf("%.6f %.6f %lld %lld %llx\n", computing_, choosing_, static_cast<long long>(chosen_),
                    static_cast<long long>(decodes_), static_cast<unsigned long long>(hash_));
        std::fflush(stdout);
    }

  private:
    void begin(Writer & writer, const Work & work) {
        Sampling sampling = work.sampling;
        sampling.seed     = 1000 * writer.answers++ + static_cast<uint32_t>(writer.id);
        writer.sampler    = std::make_unique<Sampler>(sampling, llama_vocab_n_tokens(vocabulary_->vocab));
        writer.guide      = std::make_unique<Guide>(work.plan, vocabulary_);
        const auto kept   = static_cast<int32_t>(work.tokens.size()) - 1;
        llama_memory_seq_rm(llama_get_memory(context_), writer.id, kept, -1);
        writer.position = kept;
        writer.next.assign(work.tokens.begin() + kept, work.tokens.end());
    }

    void decode(const std::vector<Writer *> & writers) {
        batch_.n_tokens = 0;
        for (Writer * writer : writers) {
            for (const llama_token & token : writer->next) {
                const int32_t at     = batch_.n_tokens++;
                batch_.token[at]     = token;
                batch_.pos[at]       = writer->position++;
                batch_.n_seq_id[at]  = 1;
                batch_.seq_id[at][0] = writer->id;
                batch_.logits[at]    = &token == &writer->next.back();
                writer->row          = at;
            }
        }
        const double begin = thread_seconds();
        if (llama_decode(context_, batch_) != 0) {
            std::fprintf(stderr, "llama_decode failed\n");
            std::exit(1);
        }
        llama_synchronize(context_);
        computing_ += thread_seconds() - begin;
        decodes_++;
    }

    // Returns whether the answer goes on.
    bool choose(Writer & writer) {
        const double       begin  = thread_seconds();
        float *            logits = llama_get_logits_ith(context_, writer.row);
        Completion::Choice choice;
        writer.sampler->adjust(logits);
        try {
            writer.guide->next(*writer.sampler, logits, choice);
        } catch (const std::exception &) {  // the model would write without end
            choice.tokens.clear();
        }
        writer.next = choice.tokens;
        bool goes_on =
            !writer.next.empty() && writer.position + static_cast<int32_t>(writer.next.size()) < room / 2 + 256;
        for (llama_token token : writer.next) {
            writer.sampler->accept(token);
            goes_on = goes_on && !llama_vocab_is_eog(vocabulary_->vocab, token);
        }
        choosing_ += thread_seconds() - begin;
        chosen_ += static_cast<int64_t>(writer.next.size());
        for (llama_token token : writer.next) {
            hash_ = (hash_ ^ static_cast<uint64_t>(token)) * 1099511628211u;
        }
        return goes_on;
    }

    llama_context *                         context_;
    const std::shared_ptr<const Vocabulary> vocabulary_;
    llama_batch                             batch_;
    std::vector<Writer>                     writers_;
    double                                  computing_ = 0, choosing_ = 0;
    int64_t                                 chosen_ = 0, decodes_ = 0;
    uint64_t                                hash_ = 0;
};

void quiet(ggml_log_level, const char *, void *) {}

}  // namespace

int main(int argc, char ** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: luup-typed-bench MODEL SEQUENCES STEPS < works\n");
        return 2;
    }
    const int32_t sequences = std::atoi(argv[2]);
    llama_log_set(quiet, nullptr);
    ggml_backend_load_all();
    llama_model * model = llama_model_load_from_file(argv[1], llama_model_default_params());
    if (!model) {
        std::fprintf(stderr, "%s can't be loaded\n", argv[1]);
        return 1;
    }
    llama_context_params params = llama_context_default_params();
    params.n_ctx                = static_cast<uint32_t>(room * sequences);
    params.n_batch              = room;
    params.n_seq_max            = static_cast<uint32_t>(sequences);
    params.kv_unified           = true;
    params.n_threads = params.n_threads_batch = 1;
    llama_context * context                   = llama_init_from_model(model, params);
    if (!context) {
        std::fprintf(stderr, "a context can't be created\n");
        return 1;
    }
    const llama_vocab * vocab = llama_model_get_vocab(model);
    try {
        Bench       bench(context, vocab, sequences);
        std::string line;
        while (std::getline(std::cin, line)) {
            bench.run(read_work(line, vocab), std::atoi(argv[3]));
        }
    } catch (const std::exception & error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    llama_free(context);
    llama_model_free(model);
    return 0;
}
