/* SPDX-License-Identifier: BSD-3-Clause */
/* What is shown loads again to the same, also after a tool with YAML 1.1 had it; and the page that
 * is made from the options table is true. */
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/options.h"
#include "test/unit/config_case.h"

#define FULL FERRY_SOURCE_DIR "/test/unit/config_full.yaml"
#define EXAMPLES FERRY_SOURCE_DIR "/config/examples"

static struct config *load_file(const char *path)
{
	struct config *config = NULL;
	struct config_error err;
	char message[1024];

	if (config_load(path, &config, &err) != 0) {
		config_error_format(&err, message, sizeof(message));
		fail_msg("%s", message);
	}
	return config;
}

static char *text_of(int (*show)(const struct config *, FILE *), const struct config *config)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(show(config, out), 0);
	fclose(out);
	return text;
}

static char *show_text(const struct config *config)
{
	return text_of(config_show, config);
}

/* Shown and loaded again it is equal, and shown again it is the same text. */
static void assert_round_trip(const struct config *config)
{
	char *once = show_text(config), *twice, *brief = text_of(config_show_brief, config);
	struct config *again = case_load(brief);

	assert_true(config_equal(config, again));
	assert_true(strlen(brief) < strlen(once));
	config_free(again);
	free(brief);
	again = case_load(once);
	assert_true(config_equal(config, again));
	twice = show_text(again);
	assert_string_equal(once, twice);
	config_free(again);
	free(once);
	free(twice);
}

static void a_brief_config_has_no_word_on_what_is_as_it_is_anyway(void **state)
{
	struct config *config = case_load("vpcs: [{name: a, vni: 5}]\n"
					  "plugins: []\n"
					  "vports: [{name: v, vpc: a, mac: '02:00:00:00:00:05', "
					  "ips: 10.0.0.5, mtu: 1400,\n"
					  "  port: {path: /tmp/v}}]\n");
	char *text = text_of(config_show_brief, config);

	(void)state;
	assert_string_equal(text, "peers: []\n"
				  "vpcs:\n"
				  "  - name: \"a\"\n"
				  "    vni: 5\n"
				  "vports:\n"
				  "  - name: \"v\"\n"
				  "    vpc: \"a\"\n"
				  "    mac: \"02:00:00:00:00:05\"\n"
				  "    mtu: 1400\n"
				  "    ips: [\"10.0.0.5\"]\n"
				  "    port:\n"
				  "      path: \"/tmp/v\"\n"
				  "locations: []\n"
				  "groups: []\n"
				  "plugins: []\n"
				  "external_networks: []\n"
				  "nat_leases: []\n");
	free(text);
	config_free(config);
}

static void every_option_survives_show_and_load(void **state)
{
	struct config *config = load_file(FULL);

	assert_round_trip(config);
	config_free(config);
	config = case_load("uplink: {interface: eth1, ips: 192.0.2.1/24}\n");
	assert_round_trip(config);
	config_free(config);
	config = case_load("plugins: []\n");
	assert_round_trip(config);
	config_free(config);
	config = case_load("host:\n");
	assert_round_trip(config);
	config_free(config);
}

/* All maps of the file that belong to one section. */
struct places {
	const struct config_tree *map[64];
	unsigned count;
};

static void add_places(struct places *places, const struct config_tree *node)
{
	if (node->kind == CONFIG_LIST) {
		CONFIG_TREE_FOREACH(entry, node)
		add_places(places, entry);
	} else {
		assert_true(places->count < 64);
		places->map[places->count++] = node;
	}
}

static void assert_complete(const struct config_section *section, const struct places *places)
{
	for (unsigned i = 0; i < section->n_options; i++) {
		const struct config_option *option = &section->options[i];
		struct places inner = {.count = 0};

		for (unsigned j = 0; j < places->count; j++) {
			const struct config_tree *node =
				config_tree_get(places->map[j], option->key);

			if (node != NULL)
				add_places(&inner, node);
		}
		/* `interface` excludes `device`; it has a round trip of its own. */
		if (inner.count == 0 && strcmp(option->key, "interface") != 0)
			fail_msg("%s is not in config_full.yaml", option->key);
		if (option->type == CONFIG_TYPE_SECTION)
			assert_complete(option->section, &inner);
	}
}

static void the_full_file_of_this_test_has_every_option(void **state)
{
	struct config *config = load_file(FULL);
	struct places root = {.map = {config->tree}, .count = 1};

	assert_complete(&config_section_root, &root);
	config_free(config);
}

static void assert_row(const struct config_section *section, const struct config_option *option)
{
	assert_non_null(option->key);
	if (option->type == CONFIG_TYPE_SECTION) {
		assert_non_null(option->section->help);
		assert_int_equal(option->list, option->section->has_node);
		return;
	}
	assert_non_null(option->help);
	if (option->type == CONFIG_TYPE_CHOICE)
		assert_non_null(option->words);
	if (!option->list)
		assert_true(option->offset + option->size <= section->size || !section->has_node);
	assert_false(option->required && option->fallback != NULL);
	assert_true(section->n_options <= 64); /* bits of config_change.fields */
}

static void assert_rows(const struct config_section *section)
{
	for (unsigned i = 0; i < section->n_options; i++) {
		const struct config_option *option = &section->options[i];

		assert_row(section, option);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(option->key, section->options[j].key);
		if (option->type == CONFIG_TYPE_SECTION)
			assert_rows(option->section);
	}
}

static void every_row_of_the_options_table_is_whole(void **state)
{
	assert_rows(&config_section_root);
}

static char *read_command(const char *command)
{
	FILE *pipe = popen(command, "r");
	char *text = calloc(1, 1 << 20);
	size_t len;

	assert_non_null(pipe);
	len = fread(text, 1, (1 << 20) - 1, pipe);
	text[len] = '\0';
	if (pclose(pipe) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static void pyyaml_reads_and_rewrites_what_is_shown_without_a_change_D06(void **state)
{
	static const char *const styles[] = {"default_flow_style=False", "default_flow_style=True",
		"width=20", "allow_unicode=True"};
	struct config *config = load_file(FULL), *again;
	char path[] = "/tmp/ferry-config-XXXXXX", command[256];
	char *shown = show_text(config), *rewritten;
	FILE *file = fdopen(mkstemp(path), "w");

	if (system("/usr/bin/python3 -c 'import yaml' 2>/dev/null") != 0) {
		unlink(path);
		print_message("PyYAML is not there\n");
		skip();
	}
	fputs(shown, file);
	fclose(file);
	for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++) {
		snprintf(command, sizeof(command),
			"/usr/bin/python3 -c 'import yaml; print(yaml.safe_dump(yaml.safe_load("
			"open(\"%s\")), sort_keys=False, %s))'",
			path, styles[i]);
		rewritten = read_command(command);
		assert_non_null(rewritten);
		again = case_load(rewritten);
		if (!config_equal(config, again))
			fail_msg("changed by PyYAML with %s:\n%s", styles[i], rewritten);
		config_free(again);
		free(rewritten);
	}
	unlink(path);
	free(shown);
	config_free(config);
}

static void every_example_loads_and_survives_show_and_load(void **state)
{
	DIR *dir = opendir(EXAMPLES);
	struct dirent *entry;
	unsigned count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		char path[1024];
		struct config *config;

		if (strstr(entry->d_name, ".yaml") == NULL)
			continue;
		snprintf(path, sizeof(path), "%s/%s", EXAMPLES, entry->d_name);
		config = load_file(path);
		assert_round_trip(config);
		config_free(config);
		count++;
	}
	closedir(dir);
	assert_true(count >= 4);
}

static void the_reference_is_what_the_options_table_says(void **state)
{
	char *made = NULL, *kept = calloc(1, 1 << 20);
	FILE *file = fopen(FERRY_SOURCE_DIR "/config/REFERENCE.md", "r");
	size_t len = 0;
	FILE *out = open_memstream(&made, &len);

	assert_non_null(file);
	assert_int_equal(config_reference(out), 0);
	fclose(out);
	assert_true(fread(kept, 1, (1 << 20) - 1, file) > 0);
	fclose(file);
	if (strcmp(made, kept) != 0)
		fail_msg("config/REFERENCE.md is old: run `ninja config-reference`");
	free(made);
	free(kept);
}

static void a_full_disk_is_an_error(void **state)
{
	struct config *config = load_file(FULL);
	FILE *full = fopen("/dev/full", "w");

	assert_non_null(full);
	assert_true(config_show(config, full) < 0);
	fclose(full);
	full = fopen("/dev/full", "w");
	assert_true(config_reference(full) < 0);
	fclose(full);
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_brief_config_has_no_word_on_what_is_as_it_is_anyway),
		cmocka_unit_test(every_option_survives_show_and_load),
		cmocka_unit_test(the_full_file_of_this_test_has_every_option),
		cmocka_unit_test(every_row_of_the_options_table_is_whole),
		cmocka_unit_test(pyyaml_reads_and_rewrites_what_is_shown_without_a_change_D06),
		cmocka_unit_test(every_example_loads_and_survives_show_and_load),
		cmocka_unit_test(the_reference_is_what_the_options_table_says),
		cmocka_unit_test(a_full_disk_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
