"""A real HTTP endpoint on loopback that speaks a model hub's API, and one of another host and port for the bytes.

Like the hub, it answers requests for large files with a redirect to the other host, whose address has a signature.
"""

import contextlib
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

BLOCK = 1 << 16
TOKEN = "hf_token_of_the_tests"


def git_sha1(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def commit_of(files):
    """Return a commit's hash that changes with the files."""
    digest = hashlib.sha1()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
    return digest.hexdigest()


class Asked:
    """A request that one of the two servers received."""

    def __init__(self, method, path, headers):
        self.method, self.path = method, path
        self.headers = {name.lower(): value for name, value in headers.items()}

    @property
    def range(self):
        return self.headers.get("range")

    @property
    def token(self):
        return self.headers.get("authorization")


class Hub:
    """A hub.

    Attributes:
        url: The address for HF_ENDPOINT.
        api: The requests to this address.
        bytes: The requests to the host of the bytes.
        answers: Answers of the host of the bytes, one for each request; after them, and for None, the right ones. An
            answer is a function of (handler, content), where the content is the file's.
        refusal: An answer to all API requests, as (status, headers).
        gated: Names of repositories that need the token.
        listed_hashes: Hashes in the list that differ from the files', by file name.
        etag: The hash of each file that the answers to HEAD name; None for the right one.
    """

    def __init__(self):
        self.api, self.bytes, self.answers = [], [], []
        self.refusal = None
        self.gated = set()
        self.listed_hashes = {}
        self.etag = None
        self._repositories = {}
        self._blobs = {}
        self._servers = []
        # Another host: huggingface_hub follows redirects to other ports of the same one itself.
        self.bytes_url = self._serve(self._answer_bytes).replace("127.0.0.1", "localhost")
        self.url = self._serve(self._answer_api)

    def _serve(self, answer):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                with contextlib.suppress(ConnectionError):
                    answer(self)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self._servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    def close(self):
        for server, thread in self._servers:
            server.shutdown()
            server.server_close()
            thread.join(5)

    def add(self, repository, files, revision="main"):
        """Make `files`, contents by name, the content of a branch; return the commit."""
        commit = commit_of(files)
        versions = self._repositories.setdefault(repository, {})
        versions[commit] = versions[revision] = (commit, dict(files))
        for content in files.values():
            self._blobs[hashlib.sha256(content).hexdigest()] = content
        return commit

    def change_bytes(self, old, new):
        """Let the host of the bytes send other content for a file, as a broken mirror does."""
        self._blobs[hashlib.sha256(old).hexdigest()] = new

    # The API

    def _answer_api(self, handler):
        asked = Asked(handler.command, handler.path, handler.headers)
        self.api.append(asked)
        if self.refusal is not None:
            status, headers = self.refusal
            return reply(handler, status, {"error": "refused"}, **headers)
        path = unquote(urlsplit(handler.path).path)
        listed = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path)
        resolved = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if not listed and not resolved:
            return reply(handler, 404, {"error": "no such page"})
        repository, revision = (listed or resolved).group(1, 2)
        authorized = asked.token == f"Bearer {TOKEN}"
        versions = self._repositories.get(repository)
        if versions is None:  # the hub does not say whether a repository is private or does not exist
            return reply(handler, 401, {"error": "not found"}, X_Error_Code="RepoNotFound")
        if repository in self.gated and not authorized:
            return reply(handler, 403 if asked.token else 401, {"error": "gated"}, X_Error_Code="GatedRepo")
        if (revision or "main") not in versions:
            return reply(handler, 404, {"error": "no revision"}, X_Error_Code="RevisionNotFound")
        commit, files = versions[revision or "main"]
        if listed:
            return reply(handler, 200, self._list(repository, commit, files, handler))
        return self._redirect(handler, commit, files, resolved.group(3))

    def _list(self, repository, commit, files, handler):
        query = parse_qs(urlsplit(handler.path).query)
        siblings = [{"rfilename": name} for name in sorted(files)]
        if query.get("blobs", ["false"])[0].lower() == "true":
            for entry in siblings:
                content = files[entry["rfilename"]]
                entry.update(size=len(content), blobId=git_sha1(content))
                if entry["rfilename"].endswith(".gguf"):
                    sha256 = self.listed_hashes.get(entry["rfilename"], hashlib.sha256(content).hexdigest())
                    entry["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
        return {"id": repository, "modelId": repository, "sha": commit, "private": False, "tags": [], "downloads": 0,
                "likes": 0, "siblings": siblings}  # fmt: skip

    def _redirect(self, handler, commit, files, name):
        if name not in files:
            return reply(handler, 404, {"error": "no file"}, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        sha256 = hashlib.sha256(files[name]).hexdigest()
        headers = {
            "X_Repo_Commit": commit,
            "X_Linked_Size": len(files[name]),
            "X_Linked_ETag": f'"{sha256 if self.etag is None else self.etag}"',
            "Location": f"{self.bytes_url}/{sha256}?signature=secret",
        }
        return reply(handler, 302, {}, **headers)

    # The host of the bytes

    def _answer_bytes(self, handler):
        self.bytes.append(Asked(handler.command, handler.path, handler.headers))
        content = self._blobs.get(urlsplit(handler.path).path[1:])
        if content is None:
            return reply(handler, 404, {"error": "no such blob"})
        answer = self.answers.pop(0) if self.answers else None
        return (answer or send)(handler, content)


def reply(handler, status, value, **headers):
    body = json.dumps(value).encode()
    handler.send_response(status)
    for name, text in headers.items():
        handler.send_header(name.replace("_", "-"), str(text))
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


def send(handler, content, share=1.0, ranges=True):
    """Send a file or its range correctly, of which only a share arrives before the connection ends."""
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("range", "")) if ranges else None
    begin = int(match.group(1)) if match else 0
    end = min(int(match.group(2)) + 1 if match and match.group(2) else len(content), len(content))
    if match and begin >= len(content):
        return reply(handler, 416, {}, Content_Range=f"bytes */{len(content)}")
    handler.send_response(206 if match else 200)
    handler.send_header("Content-Length", str(end - begin))
    handler.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
    if match:
        handler.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(content)}")
    handler.end_headers()
    if handler.command == "HEAD":
        return None
    stop = begin + int((end - begin) * share)
    with contextlib.suppress(ConnectionError):
        for start in range(begin, stop, BLOCK):
            handler.wfile.write(content[start : min(start + BLOCK, stop)])
    if share < 1:
        handler.wfile.flush()
        handler.close_connection = True
    return None


def cut(share):
    """Return an answer that ends the connection after a share of the bytes."""
    return lambda handler, content: send(handler, content, share)


def whole(handler, content):
    """Send the whole file, as a server does that knows no ranges."""
    send(handler, content, ranges=False)


def status(code, **headers):
    """Return an answer with a status."""
    return lambda handler, _content: reply(handler, code, {"error": "no"}, **headers)
