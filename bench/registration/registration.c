// SPDX-License-Identifier: GPL-2.0
/*
 * Register device-private memory: what does that take, and what do look-ups take
 * then? The answers are read-only parameters.
 */

#include <linux/ioport.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/timex.h>

#define REGISTRATION_MAX	64
#define REGISTRATION_LOOKUPS	4096

static unsigned long mib = 1024;
module_param(mib, ulong, 0444);
MODULE_PARM_DESC(mib, "Memory of each device, in MiB");

static unsigned int devices = 1;
module_param(devices, uint, 0444);
MODULE_PARM_DESC(devices, "How many devices to register (1 to 64)");

static bool on_demand;
module_param(on_demand, bool, 0444);
MODULE_PARM_DESC(on_demand, "Make struct pages when they are needed, if this kernel can");

static int error;
module_param(error, int, 0444);
MODULE_PARM_DESC(error, "0, or the error that registration has given");

static unsigned long instructions;
module_param(instructions, ulong, 0444);
MODULE_PARM_DESC(instructions, "What registration has taken, under -icount");

static long ram;
module_param(ram, long, 0444);
MODULE_PARM_DESC(ram, "RAM that registration has taken, in pages");

static unsigned int lookups = REGISTRATION_LOOKUPS;
module_param(lookups, uint, 0444);
MODULE_PARM_DESC(lookups, "How many look-ups the next two stand for");

static unsigned long to_page;
module_param(to_page, ulong, 0444);
MODULE_PARM_DESC(to_page, "Instructions from the numbers of pages to the pages");

static unsigned long to_number;
module_param(to_number, ulong, 0444);
MODULE_PARM_DESC(to_number, "Instructions from the pages to their numbers");

static void registration_folio_free(struct folio *folio)
{
}

static vm_fault_t registration_migrate_to_ram(struct vm_fault *vmf)
{
	return VM_FAULT_SIGBUS;
}

static const struct dev_pagemap_ops registration_ops = {
	.folio_free = registration_folio_free,
	.migrate_to_ram = registration_migrate_to_ram,
};

static struct dev_pagemap registration_pgmaps[REGISTRATION_MAX];
/* Pages to look up, of all devices in turn */
static struct page *registration_pages[REGISTRATION_LOOKUPS];

#ifdef REGISTER_BY_OFFSET
static int registration_register(struct dev_pagemap *pgmap)
{
	pgmap->nr_pages = mib << (20 - PAGE_SHIFT);
	if (on_demand)
		pgmap->flags = PGMAP_POPULATE_ON_DEMAND;
	return memremap_device_private_pagemap(pgmap, NUMA_NO_NODE);
}

static void registration_unregister(struct dev_pagemap *pgmap)
{
	memunmap_device_private_pagemap(pgmap);
}

static struct page *registration_to_page(unsigned long number)
{
	return device_private_offset_to_page(number);
}

static unsigned long registration_to_number(const struct page *page)
{
	return device_private_page_to_offset(page);
}
#else
static int registration_register(struct dev_pagemap *pgmap)
{
	struct resource *res;
	void *addr;

	res = request_free_mem_region(&iomem_resource, mib << 20, KBUILD_MODNAME);
	if (IS_ERR(res))
		return PTR_ERR(res);

	pgmap->range.start = res->start;
	pgmap->range.end = res->end;
	pgmap->nr_range = 1;
	addr = memremap_pages(pgmap, numa_mem_id());
	if (IS_ERR(addr)) {
		release_mem_region(res->start, resource_size(res));
		return PTR_ERR(addr);
	}
	return 0;
}

static void registration_unregister(struct dev_pagemap *pgmap)
{
	memunmap_pages(pgmap);
	release_mem_region(pgmap->range.start, range_len(&pgmap->range));
}

static struct page *registration_to_page(unsigned long number)
{
	return pfn_to_page(number);
}

static unsigned long registration_to_number(const struct page *page)
{
	return page_to_pfn(page);
}
#endif

static unsigned long registration_free_ram(void)
{
	struct sysinfo info;

	si_meminfo(&info);
	return info.freeram;
}

static unsigned long registration_number(unsigned int lookup)
{
	struct dev_pagemap *pgmap = &registration_pgmaps[lookup % devices];

	return PHYS_PFN(pgmap->range.start) + lookup;
}

/* Each answer is used, and the compiler cannot know it beforehand. */
static void registration_look_up(void)
{
	unsigned long sum = 0;
	cycles_t start;
	unsigned int i;

	start = get_cycles();
	for (i = 0; i < REGISTRATION_LOOKUPS; i++)
		registration_pages[i] = registration_to_page(registration_number(i));
	to_page = get_cycles() - start;

	start = get_cycles();
	for (i = 0; i < REGISTRATION_LOOKUPS; i++)
		sum += registration_to_number(registration_pages[i]) ^ registration_number(i);
	to_number = get_cycles() - start;
	WARN_ON(sum);
}

static void registration_unregister_all(unsigned int count)
{
	while (count--)
		registration_unregister(&registration_pgmaps[count]);
}

static int __init registration_init(void)
{
	unsigned long before = registration_free_ram();
	struct dev_pagemap *pgmap = registration_pgmaps;
	cycles_t start = get_cycles();

	if (!devices || devices > REGISTRATION_MAX)
		return -EINVAL;
	for (; !error && pgmap < registration_pgmaps + devices; pgmap++) {
		pgmap->type = MEMORY_DEVICE_PRIVATE;
		pgmap->ops = &registration_ops;
		pgmap->owner = registration_pgmaps;
		error = registration_register(pgmap);
	}
	instructions = get_cycles() - start;
	ram = before - registration_free_ram();
	if (error)
		registration_unregister_all(pgmap - registration_pgmaps - 1);
	else
		registration_look_up();
	return 0;
}
module_init(registration_init);

static void __exit registration_exit(void)
{
	if (!error)
		registration_unregister_all(devices);
}
module_exit(registration_exit);

MODULE_DESCRIPTION("What registering device-private memory takes");
MODULE_LICENSE("GPL");
