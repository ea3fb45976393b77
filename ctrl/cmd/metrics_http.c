/* SPDX-License-Identifier: BSD-3-Clause */
/* GET /metrics, answered by the loop. Whoever asks slowly, or at length, is cut off. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "ctrl/cmd/metrics.h"

#define TIMEOUT_S 5
#define HEADERS_BYTES 8192

struct metrics_http {
	struct daemon *daemon;
	struct evhttp *http;
};

static void answer(struct evhttp_request *request, void *arg)
{
	struct metrics_http *m = arg;
	struct evbuffer *text = evbuffer_new();

	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
		"text/plain; version=0.0.4; charset=utf-8");
	if (text && metrics_write(m->daemon, text) == 0)
		evhttp_send_reply(request, HTTP_OK, "OK", text);
	else
		evhttp_send_error(request, HTTP_INTERNAL, NULL);
	if (text)
		evbuffer_free(text);
}

int metrics_http_start(struct daemon *daemon, const struct config_endpoint *at,
	struct metrics_http **out, char *error, size_t error_len)
{
	struct metrics_http *m = calloc(1, sizeof(*m));
	char address[INET6_ADDRSTRLEN] = "";
	int rc;

	if (!m)
		return -ENOMEM;
	m->daemon = daemon;
	m->http = evhttp_new(loop_base(daemon->loop));
	if (!m->http) {
		free(m);
		return -ENOMEM;
	}
	evhttp_set_allowed_methods(m->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_timeout(m->http, TIMEOUT_S);
	evhttp_set_max_headers_size(m->http, HEADERS_BYTES);
	evhttp_set_max_body_size(m->http, 0);
	evhttp_set_cb(m->http, "/metrics", answer, m);
	if (IN6_IS_ADDR_V4MAPPED(&at->addr))
		inet_ntop(AF_INET, &at->addr.s6_addr[12], address, sizeof(address));
	else
		inet_ntop(AF_INET6, &at->addr, address, sizeof(address));
	if (evhttp_bind_socket(m->http, address, at->port) == 0) {
		*out = m;
		return 0;
	}
	rc = errno ? -errno : -EIO;
	snprintf(
		error, error_len, "host.metrics: %s port %u: %s", address, at->port, strerror(-rc));
	metrics_http_stop(m);
	return rc;
}

void metrics_http_stop(struct metrics_http *m)
{
	if (!m)
		return;
	evhttp_free(m->http);
	free(m);
}
