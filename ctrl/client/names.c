/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/client/ferryctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/cmd/suggest.h"

#define WORDS_MAX 4 /* of a name: noun/part/verb */

static char *cut_at(char *text, const char *stops)
{
	text += strcspn(text, stops);
	if (*text)
		*text++ = '\0';
	return text;
}

int names_parse(char *text, struct names *names)
{
	size_t n_lines = 1;
	char *line, *next, *usage;

	for (const char *c = text; *c; c++)
		n_lines += *c == '\n';
	*names = (struct names){.text = text};
	names->names = calloc(n_lines, sizeof(*names->names));
	if (!names->names)
		return -ENOMEM;
	for (line = text; *line; line = next) {
		next = cut_at(line, "\n");
		if (strncmp(line, "  ", 2) != 0)
			continue; /* the heading */
		line += strspn(line, " ");
		usage = cut_at(line, " ");
		usage += strspn(usage, " ");
		names->names[names->n_names++] = (struct name){line, usage};
	}
	return 0;
}

void names_free(struct names *names)
{
	free(names->names);
	free(names->text);
}

/* The first n words with slashes between them. False: too long for a name. */
static bool join(char **words, size_t n, char *name, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		int ret = snprintf(name + len, size - len, "%s%s", i ? "/" : "", words[i]);

		if (ret < 0 || (size_t)ret >= size - len)
			return false;
		len += (size_t)ret;
	}
	return true;
}

static const struct name *find_exact(const struct names *names, const char *name)
{
	for (size_t i = 0; i < names->n_names; i++)
		if (strcmp(names->names[i].name, name) == 0)
			return &names->names[i];
	return NULL;
}

const struct name *names_find(
	const struct names *names, char **words, size_t n_words, size_t *n_taken)
{
	const struct name *found;
	char name[128];

	for (size_t n = n_words < WORDS_MAX ? n_words : WORDS_MAX; n > 0; n--) {
		if (!join(words, n, name, sizeof(name)))
			continue;
		found = find_exact(names, name);
		if (found) {
			*n_taken = n;
			return found;
		}
	}
	return NULL;
}

static const char *name_at(void *ctx, size_t i)
{
	const struct names *names = ctx;

	return i < names->n_names ? names->names[i].name : NULL;
}

/* As it is typed: with blanks. */
static void print_name(FILE *file, const char *name)
{
	for (; *name; name++)
		fputc(*name == '/' ? ' ' : *name, file);
}

static size_t print_noun(const struct names *names, const char *noun)
{
	size_t len_bytes = strlen(noun), n = 0;

	for (size_t i = 0; i < names->n_names; i++) {
		const struct name *name = &names->names[i];

		if (strncmp(name->name, noun, len_bytes) != 0 || name->name[len_bytes] != '/')
			continue;
		if (n++ == 0)
			fprintf(stderr, "ferryctl: commands of \"%s\":\n", noun);
		fprintf(stderr, "  ");
		print_name(stderr, name->name);
		fprintf(stderr, " %s\n", name->usage);
	}
	return n;
}

void names_explain(const struct names *names, char **words, size_t n_words)
{
	char name[128] = "";
	const char *near;

	if (n_words == 1 && print_noun(names, words[0]) > 0)
		return;
	/* Arguments may follow, so the verb is what is most likely mistyped. */
	join(words, n_words < 2 ? n_words : 2, name, sizeof(name));
	near = suggest(name, name_at, (void *)names);
	if (!near)
		near = suggest(words[0], name_at, (void *)names);
	fprintf(stderr, "ferryctl: no command \"");
	print_name(stderr, name);
	fprintf(stderr, "\"");
	if (near) {
		fprintf(stderr, "; did you mean \"");
		print_name(stderr, near);
		fprintf(stderr, "\"?\n");
	} else {
		fprintf(stderr, "; \"ferryctl help\" lists the commands\n");
		print_noun(names, words[0]);
	}
}

/* The word of the name behind the prefix, up to the next slash. */
static void offer(const char *rest, const char *begun, char *last, size_t size)
{
	char word[64];

	snprintf(word, sizeof(word), "%.*s", (int)strcspn(rest, "/"), rest);
	if (strncmp(word, begun, strlen(begun)) != 0 || strcmp(word, last) == 0)
		return;
	printf("%s\n", word);
	snprintf(last, size, "%s", word); /* names are sorted: the same come together */
}

/* Options named in the usage: "[--limit=N]" gives "--limit=". */
static void offer_options(const char *usage, const char *begun)
{
	const char *option = usage;
	size_t len_bytes;

	while ((option = strstr(option, "--")) != NULL) {
		len_bytes = strcspn(option, "=] |");
		len_bytes += option[len_bytes] == '=';
		if (strncmp(option, begun, strlen(begun)) == 0)
			printf("%.*s\n", (int)len_bytes, option);
		option += len_bytes;
	}
}

void names_complete(const struct names *names, char **words, size_t n_words)
{
	const char *begun = n_words ? words[n_words - 1] : "";
	size_t n_before = n_words ? n_words - 1 : 0, len_bytes, n_taken;
	char prefix[128], last[64] = "";
	const struct name *found = names_find(names, words, n_before, &n_taken);

	if (found) {
		offer_options(found->usage, begun);
		return;
	}
	if (strchr(begun, '/') && n_before == 0) {
		for (size_t i = 0; i < names->n_names; i++)
			if (strncmp(names->names[i].name, begun, strlen(begun)) == 0)
				printf("%s\n", names->names[i].name);
		return;
	}
	if (!join(words, n_before, prefix, sizeof(prefix) - 1))
		return;
	if (n_before > 0)
		strcat(prefix, "/");
	else
		prefix[0] = '\0';
	len_bytes = strlen(prefix);
	for (size_t i = 0; i < names->n_names; i++)
		if (strncmp(names->names[i].name, prefix, len_bytes) == 0)
			offer(names->names[i].name + len_bytes, begun, last, sizeof(last));
}
