#include "device/rpc_servers.h"

#include "device/backends.h"
#include "base/error.h"
#include "base/fork_locks.h"

#include "ggml-rpc.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <mutex>

#if defined(_WIN32)
#    define WIN32_LEAN_AND_MEAN
#    include <winsock2.h>
#    include <ws2tcpip.h>
#else
#    include <fcntl.h>
#    include <netdb.h>
#    include <poll.h>
#    include <signal.h>
#    include <sys/socket.h>
#    include <unistd.h>
#endif

namespace luup {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int patience = 5000;  // milliseconds for the connection and the greeting together

#if defined(_WIN32)
using Socket = SOCKET;

const Socket no_socket = INVALID_SOCKET;

int wait_for(pollfd & entry, int timeout) {
    return WSAPoll(&entry, 1, timeout);
}

void close_socket(Socket s) {
    closesocket(s);
}

bool make_nonblocking(Socket s) {
    u_long on = 1;
    return ioctlsocket(s, FIONBIO, &on) == 0;
}

void start_sockets() {
    static const int started = [] {
        WSADATA data;
        return WSAStartup(MAKEWORD(2, 2), &data);
    }();
    (void) started;
}

const int no_signal = 0;
#else
using Socket = int;

const Socket no_socket = -1;

int wait_for(pollfd & entry, int timeout) {
    return poll(&entry, 1, timeout);
}

void close_socket(Socket s) {
    close(s);
}

bool make_nonblocking(Socket s) {
    return fcntl(s, F_SETFL, O_NONBLOCK) == 0;
}

void start_sockets() {}

#    if defined(MSG_NOSIGNAL)
const int no_signal = MSG_NOSIGNAL;
#    else
const int no_signal = 0;
#    endif
#endif

struct Address {
    std::string host;
    std::string port;
};

Address parse(const std::string & server) {
    const size_t colon = server.find(':');
    Address      address;
    if (colon != std::string::npos) {
        address = { server.substr(0, colon), server.substr(colon + 1) };
    }
    const bool digits = !address.port.empty() && address.port.size() <= 5 &&
                        address.port.find_first_not_of("0123456789") == std::string::npos;
    const int  port   = digits ? std::stoi(address.port) : 0;
    const bool host   = !address.host.empty() && address.host.find_first_of(" \t\r\n/@[]") == std::string::npos;
    if (!host || port < 1 || port > 65535) {
        fail(LUUP_ERROR_INVALID_PARAM,
             "rpc_servers: \"%.200s\" must be a host name or IPv4 address with a port, such as \"192.168.0.2:50052\"",
             server.c_str());
    }
    return address;
}

// A connection that only exchanges the greeting.
class Probe {
  public:
    explicit Probe(const std::string & server)
        : server_(server), deadline_(Clock::now() + std::chrono::milliseconds(patience)) {}

    ~Probe() {
        if (socket_ != no_socket) {
            close_socket(socket_);
        }
    }

    Probe(const Probe &)             = delete;
    Probe & operator=(const Probe &) = delete;

    void connect(const Address & address) {
        start_sockets();
        addrinfo hints    = {};
        hints.ai_family   = AF_INET;  // the backend uses IPv4 only
        hints.ai_socktype = SOCK_STREAM;
        addrinfo * found  = nullptr;
        if (getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found) != 0 || !found) {
            refuse("can't be reached: there is no such host");
        }
        const std::unique_ptr<addrinfo, void (*)(addrinfo *)> owner(found, freeaddrinfo);
        socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
        if (socket_ == no_socket || !make_nonblocking(socket_)) {
            refuse("can't be reached: this system has no more sockets");
        }
        ::connect(socket_, found->ai_addr, static_cast<socklen_t>(found->ai_addrlen));  // continues in the background
        wait(POLLOUT, "can't be reached: nothing answers there");
        int       error  = 0;
        socklen_t length = sizeof(error);
        getsockopt(socket_, SOL_SOCKET, SO_ERROR, reinterpret_cast<char *>(&error), &length);
        if (error != 0) {
            refuse("can't be reached: %s", std::strerror(error));
        }
    }

    // Exchanges the greeting of the protocol, RPC_CMD_HELLO of ggml-rpc.cpp. The request has the command, the size and
    // 24 bytes of capabilities, here none. The response has its size, three bytes of version, an unused byte and 24
    // bytes.
    void greet() {
        constexpr uint8_t       hello = 14;
        constexpr uint64_t      caps  = 24;
        std::array<char, 33>    request{ static_cast<char>(hello) };
        std::array<uint8_t, 36> response{};
        std::memcpy(&request[1], &caps, sizeof(caps));
        if (send(socket_, request.data(), static_cast<int>(request.size()), no_signal) !=
            static_cast<int>(request.size())) {
            refuse("closed the connection");
        }
        for (size_t have = 0; have < response.size();) {
            wait(POLLIN, "does not answer; it serves one client at a time and may be busy with another");
            const auto more =
                recv(socket_, reinterpret_cast<char *>(&response[have]), static_cast<int>(response.size() - have), 0);
            if (more <= 0) {
                refuse("closed the connection: it is not an RPC server, or has another version");
            }
            have += static_cast<size_t>(more);
        }
        uint64_t size = 0;
        std::memcpy(&size, response.data(), sizeof(size));
        if (size != response.size() - sizeof(size)) {
            refuse("is not an RPC server of llama.cpp, or has another version");
        }
        if (response[8] != RPC_PROTO_MAJOR_VERSION || response[9] > RPC_PROTO_MINOR_VERSION) {
            refuse(
                "has version %d.%d of the protocol, but this library has %d.%d: use the ggml-rpc-server of the same "
                "llama.cpp",
                response[8], response[9], RPC_PROTO_MAJOR_VERSION, RPC_PROTO_MINOR_VERSION);
        }
    }

  private:
    template <typename... Args> [[noreturn]] void refuse(const char * format, Args... args) const {
        char reason[300];
        if constexpr (sizeof...(args) == 0) {
            std::snprintf(reason, sizeof(reason), "%s", format);
        } else {
            std::snprintf(reason, sizeof(reason), format, args...);
        }
        fail(LUUP_ERROR_BACKEND_INIT_FAILED, "the RPC server %s %s", server_.c_str(), reason);
    }

    void wait(short events, const char * problem) {
        pollfd entry = {};
        entry.fd     = socket_;
        entry.events = events;
        int ready    = 0;
        do {
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
            ready           = wait_for(entry, static_cast<int>(std::max<long long>(0, left)));
        } while (ready < 0 && errno == EINTR);
        if (ready <= 0) {
            refuse("%s", problem);
        }
    }

    const std::string       server_;
    const Clock::time_point deadline_;
    Socket                  socket_ = no_socket;
};

using AddServer = decltype(&ggml_backend_rpc_add_server);

AddServer add_server_function() {
    const Backend & backend = rpc_backend();
    if (!backend.registration) {
        fail(LUUP_ERROR_BACKEND_INIT_FAILED, "rpc_servers needs the RPC backend, which was not loaded: %s",
             backend.reason.c_str());
    }
    return reinterpret_cast<AddServer>(
        ggml_backend_reg_get_proc_address(backend.registration, "ggml_backend_rpc_add_server"));
}

// Threads that start while it lives do not get SIGPIPE when a server has closed its connection.
class NoBrokenPipes {
#if !defined(_WIN32)
  public:
    NoBrokenPipes() {
        sigset_t pipe;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        pthread_sigmask(SIG_BLOCK, &pipe, &before_);
    }
    ~NoBrokenPipes() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  private:
    sigset_t before_;
#endif
};

bool answers(ggml_backend_dev_t device) {
    size_t free = 0, total = 0;
    ggml_backend_dev_memory(device, &free, &total);
    return total > 0;
}

std::mutex & connections_mutex() {
    static std::mutex * the_one = [] {
        std::mutex * made = new std::mutex();
        keep_over_fork(ForkLock::RpcServers, *made);
        return made;
    }();
    return *the_one;
}

// Made when the library is loaded, see keep_over_fork().
[[maybe_unused]] const std::mutex & mutex_at_load = connections_mutex();

// Returns the connection to a server. All models of the process share it, because the server accepts only one client.
std::shared_ptr<ggml_backend> connect(const std::string & server, std::vector<ggml_backend_dev_t> & devices) {
    static std::map<std::string, std::weak_ptr<ggml_backend>> connections;
    const std::lock_guard<std::mutex>                         lock(connections_mutex());
    const Address                                             address    = parse(server);
    std::shared_ptr<ggml_backend>                             connection = connections[server].lock();
    if (!connection) {
        Probe probe(server);
        probe.connect(address);
        probe.greet();
    } else if (!answers(ggml_backend_get_device(connection.get()))) {
        fail(LUUP_ERROR_BACKEND_INIT_FAILED,
             "the connection to the RPC server %s is lost: close the models that use it before you load another one "
             "there",
             server.c_str());
    }
    [[maybe_unused]] const NoBrokenPipes quiet;
    const ggml_backend_reg_t             registration = add_server_function()(server.c_str());
    if (!registration) {
        fail(LUUP_ERROR_BACKEND_INIT_FAILED, "the RPC server %s has no devices", server.c_str());
    }
    for (size_t i = 0; i < ggml_backend_reg_dev_count(registration); i++) {
        devices.push_back(ggml_backend_reg_dev_get(registration, i));
    }
    if (!connection) {
        connection.reset(ggml_backend_dev_init(devices.back(), nullptr),
                         [](ggml_backend_t backend) { ggml_backend_free(backend); });
        connections[server] = connection;
    }
    return connection;
}

}  // namespace

RpcServers::RpcServers(const std::vector<std::string> & servers) {
    for (const std::string & server : servers) {
        if (std::count(servers.begin(), servers.end(), server) > 1) {
            fail(LUUP_ERROR_INVALID_PARAM, "rpc_servers names %s twice", server.c_str());
        }
        connections_.push_back(connect(server, devices_));
        names_.resize(devices_.size(), server);
    }
    losses_ = rpc_losses();
}

std::string RpcServers::lost() {
    const uint64_t losses = rpc_losses();
    if (losses != losses_) {
        for (size_t i = 0; i < devices_.size(); i++) {
            if (!answers(devices_[i])) {
                return names_[i];
            }
        }
        losses_ = losses;  // another model's server
    }
    return "";
}

}  // namespace luup
