/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <openssl/pem.h>

#include "ctrl/channel/certificate.h"
#include "ctrl/channel/peers.h"
#include "test/fake/fake_channel.h"

static struct fake_ca ca;

static int ca_new(void **state)
{
	fake_ca_new(&ca);
	return 0;
}

static int ca_free(void **state)
{
	fake_ca_free(&ca);
	return 0;
}

static X509 *issue(const char *spec)
{
	char whole[200], path[160];
	X509 *certificate;
	FILE *file;

	snprintf(whole, sizeof(whole), "%s,file=tried", spec);
	fake_ca_issue(&ca, whole);
	file = fopen(fake_ca_path(&ca, "tried.pem", path, sizeof(path)), "r");
	assert_non_null(file);
	certificate = PEM_read_X509(file, NULL, NULL, NULL);
	fclose(file);
	assert_non_null(certificate);
	return certificate;
}

static void each_kind_of_name_matches_exactly(void **state)
{
	X509 *c = issue("common,dns=host-b.example.net,ip=192.0.2.7,ip=2001:db8::7,"
			"uri=spiffe://example.net/host-b");
	char names[160];

	assert_true(certificate_is_called(c, "host-b.example.net"));
	assert_true(certificate_is_called(c, "HOST-B.Example.net"));
	assert_true(certificate_is_called(c, "192.0.2.7"));
	assert_true(certificate_is_called(c, "2001:0db8:0::7"));
	assert_true(certificate_is_called(c, "spiffe://example.net/host-b"));
	assert_false(certificate_is_called(c, "spiffe://example.net/HOST-b"));
	assert_false(certificate_is_called(c, "host-b.example"));
	assert_false(certificate_is_called(c, "host-b.example.net."));
	assert_false(certificate_is_called(c, "192.0.2.70"));
	/* It has better names, so the common name does not count. */
	assert_false(certificate_is_called(c, "common"));
	certificate_names(c, names, sizeof(names));
	assert_string_equal(names, "DNS:host-b.example.net, IP:192.0.2.7, IP:2001:db8::7, "
				   "URI:spiffe://example.net/host-b");
	certificate_names(c, names, 12); /* cut, not overrun */
	assert_string_equal(names, "DNS:host-b.");
	X509_free(c);
}

static void the_common_name_counts_when_there_is_no_other(void **state)
{
	X509 *c = issue("host-c,cn-only");
	char names[160];

	assert_true(certificate_is_called(c, "host-c"));
	assert_false(certificate_is_called(c, "host"));
	certificate_names(c, names, sizeof(names));
	assert_string_equal(names, "CN:host-c");
	X509_free(c);
}

static void a_wild_card_stands_for_itself_alone(void **state)
{
	X509 *c = issue("any,dns=*.example.net");

	assert_false(certificate_is_called(c, "host-b.example.net"));
	assert_true(certificate_is_called(c, "*.example.net"));
	X509_free(c);
}

static void a_peer_must_fit_in_name_address_and_certificate_at_once(void **state)
{
	const struct in6_addr a = fake_address("192.0.2.1"), b = fake_address("2001:db8::2");
	const char *const b_names[] = {"spiffe://example.net/b", "b-old"};
	const struct channel_peer list[] = {
		{.name = "a", .addresses = &a, .n_addresses = 1},
		{.name = "b",
			.addresses = &b,
			.n_addresses = 1,
			.certificate_names = b_names,
			.n_certificate_names = 2},
	};
	X509 *of_a = issue("a"), *of_b = issue("b,uri=spiffe://example.net/b");
	struct peers *peers;

	assert_int_equal(peers_new(list, 2, &peers), 0);
#define FIND(...) peers_find(peers, &(const struct peers_claim){__VA_ARGS__})
	assert_string_equal(FIND(.certificate = of_a, .address = &a)->name, "a");
	assert_string_equal(FIND(.certificate = of_b, .address = &b, .name = "b")->name, "b");
	assert_null(FIND(.certificate = of_a, .address = &b));
	assert_null(FIND(.certificate = of_b, .address = &b, .name = "a"));
	assert_null(FIND(.certificate = of_a, .name = "b"));
#undef FIND
	peers_free(peers);
	X509_free(of_a);
	X509_free(of_b);
}

static void a_peer_list_with_bad_or_double_names_is_refused(void **state)
{
	char long_name[CHANNEL_NAME_BYTES + 1];
	struct channel_peer list[2] = {{.name = "a"}, {.name = "a"}};
	struct peers *peers;

	assert_true(peers_new(list, 2, &peers) < 0);
	list[1].name = "";
	assert_true(peers_new(list, 2, &peers) < 0);
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	list[1].name = long_name;
	assert_true(peers_new(list, 2, &peers) < 0);
	assert_int_equal(peers_new(list, 1, &peers), 0);
	peers_free(peers);
}

static void dates_read_as_everybody_writes_them(void **state)
{
	X509 *c = issue("d,from=2026-01-02 03:04:05Z,until=2031-12-31 23:59:59Z");
	struct certificate_info info;
	char date[CERTIFICATE_DATE_BYTES];

	certificate_info_get(c, &info);
	assert_string_equal(info.subject, "CN=d");
	certificate_date(info.not_before_s, date);
	assert_string_equal(date, "2026-01-02 03:04:05Z");
	certificate_date(info.not_after_s, date);
	assert_string_equal(date, "2031-12-31 23:59:59Z");
	X509_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_name_matches_exactly),
		cmocka_unit_test(the_common_name_counts_when_there_is_no_other),
		cmocka_unit_test(a_wild_card_stands_for_itself_alone),
		cmocka_unit_test(a_peer_must_fit_in_name_address_and_certificate_at_once),
		cmocka_unit_test(a_peer_list_with_bad_or_double_names_is_refused),
		cmocka_unit_test(dates_read_as_everybody_writes_them),
	};

	return cmocka_run_group_tests(tests, ca_new, ca_free);
}
