// JSON schemas to grammars for whoever calls C: llama.cpp's own converter, without the rest of its programs.

#include "common.h"
#include "ggml.h"
#include "json-schema-to-grammar.h"
#include "llama.h"

#include <cstddef>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

// What the converter uses of common.cpp, which would bring half of the programs along.

std::string string_repeat(const std::string & text, size_t count) {
    std::string found;
    for (size_t each = 0; each < count; each++) {
        found += text;
    }
    return found;
}

std::string string_join(const std::vector<std::string> & parts, const std::string & between) {
    std::string found;
    for (const std::string & part : parts) {
        found += &part == &parts.front() ? part : between + part;
    }
    return found;
}

std::vector<std::string> string_split(const std::string & text, const std::string & mark) {
    std::vector<std::string> found;
    size_t start = 0;
    for (size_t end; (end = text.find(mark, start)) != std::string::npos; start = end + mark.size()) {
        found.push_back(text.substr(start, end - start));
    }
    found.push_back(text.substr(start));
    return found;
}

extern "C" {

// The grammar (GBNF) of a JSON schema, or why there is none, into `place` of `room` bytes, zero-terminated. Its length,
// which may be more than there is room for; less than zero where there is none.
__attribute__((visibility("default"))) long penjing_schema_to_grammar(const char * schema, char * place, size_t room) {
    std::string found;
    bool good = true;
    try {
        found = json_schema_to_grammar(common_json::parse(schema), true);
    } catch (const std::exception & error) {
        found = error.what();
        good = false;
    }
    if (room > 0) {
        const size_t size = found.size() < room - 1 ? found.size() : room - 1;
        std::memcpy(place, found.data(), size);
        place[size] = '\0';
    }
    return good ? static_cast<long>(found.size()) : -1;
}

// The sizes of the structures whose layout may change between revisions.
__attribute__((visibility("default"))) size_t penjing_size_of_model_params(void) {
    return sizeof(llama_model_params);
}

__attribute__((visibility("default"))) size_t penjing_size_of_context_params(void) {
    return sizeof(llama_context_params);
}
}
