/*
 * Lets the connections of ggml's RPC backend notice that the other machine is gone; force-included into its transport.cpp.
 *
 * A machine that loses its power or its network closes no connection: who waits for its answer would wait for ever. Here every connection, as soon as
 * TCP_NODELAY is set on it, asks for a sign of life when it was silent for ten seconds, and counts as broken half a minute after the last one.
 */
#ifndef LUUP_RPC_KEEP_ALIVE_H
#define LUUP_RPC_KEEP_ALIVE_H

#ifdef _WIN32
#    ifndef NOMINMAX
#        define NOMINMAX
#    endif
#    include <winsock2.h>
#    include <ws2tcpip.h>
#else
#    include <netinet/in.h>
#    include <netinet/tcp.h>
#    include <sys/socket.h>
#endif

#if defined(__APPLE__) && !defined(TCP_KEEPIDLE)
#    define TCP_KEEPIDLE TCP_KEEPALIVE
#endif

namespace luup_rpc {

template <class Socket, class Size>
int set_option(Socket socket, int level, int name, const char * value, Size size) {
    const auto set = [&](int option_level, int option, int number) {
        ::setsockopt(socket, option_level, option, reinterpret_cast<const char *>(&number), sizeof(number));
    };
    if (level == IPPROTO_TCP && name == TCP_NODELAY) {
        set(SOL_SOCKET, SO_KEEPALIVE, 1);
        set(IPPROTO_TCP, TCP_KEEPIDLE, 10);
        set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
        set(IPPROTO_TCP, TCP_KEEPCNT, 4);
#ifdef TCP_USER_TIMEOUT
        set(IPPROTO_TCP, TCP_USER_TIMEOUT, 30000);
#endif
    }
    return ::setsockopt(socket, level, name, value, size);
}

}  // namespace luup_rpc

#define setsockopt luup_rpc::set_option

#endif
